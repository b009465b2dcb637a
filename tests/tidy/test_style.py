"""Format, lint, types, the shape of the tree, and words that have no place in it."""

import re
import subprocess
import sys

import pytest

from support import tree
from support.paths import ENGINE, GENERATED, ROOT

TOP_FOLDERS = {".ci", "codegen", "docs", "generated", "python", "schemas", "tcl", "tests",
               "tests_tcl"}
TOP_FILES = {".clang-format", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md",
             "pyproject.toml", "setup.py", "tasks.py"}
# Spelled in pieces, so that this file does not find itself.
FORBIDDEN = {
    r"/w" r"ork/": "a path of one machine",
    r"/ho" r"me/\w": "a path of one machine",
    r"/tmp/v" r"env": "a path of one machine",
    r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b": "unfinished business belongs elsewhere",
    r"(?i)\b(chat" r"gpt|open" r"ai|anthro" r"pic|clau" r"de|copi" r"lot|language mod" r"el)\b":
        "tools are not part of the project",
    r"(?i)\bissue #?\d": "says where, not why",
}
TEXT_SUFFIXES = {".c", ".h", ".def", ".py", ".pyi", ".md", ".tcl", ".test", ".toml", ".jinja",
                 ".json", ".n", ".man", ".txt", ".tsv", ""}


def tool(*command: str) -> str:
    """Run a tool over the tree; returns its output when it complains."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_c_is_formatted():
    """clang-format has nothing to change in engine, glue and generated code."""
    complaints = tool("clang-format", "--dry-run", "-Werror", *map(str, tree.c_files()))
    places = sorted({line.split(": error")[0] for line in complaints.splitlines()
                     if ": error" in line})
    assert not complaints, "repair with `invoke check --fix`:\n" + "\n".join(places[:200])


def test_python_is_clean_for_ruff():
    """ruff finds nothing."""
    complaints = tool(sys.executable, "-m", "ruff", "check", "--output-format=concise", ".")
    assert not complaints, complaints


def test_python_types_check_strictly():
    """mypy --strict finds nothing in what users import and what tests share."""
    complaints = tool(sys.executable, "-m", "mypy")
    assert not complaints, complaints


def test_lines_fit_on_a_screen():
    """Lines of C and Python have at most 100 columns; Tcl's lists do not break as well."""
    wrong = []
    for path in tree.files():
        if path.suffix in {".c", ".h", ".py"} and not path.is_relative_to(GENERATED):
            wrong += [tree.place(path, number)
                      for number, line in enumerate(path.read_text().splitlines(), 1)
                      if len(line.expandtabs()) > 100]
    assert not wrong, "\n".join(wrong)


def test_nothing_unknown_stands_at_the_top():
    """The top level holds the folders of the map in README.md and what every repository has."""
    relative = [path.relative_to(ROOT) for path in tree.files()]
    assert {path.parts[0] for path in relative if len(path.parts) > 1} <= TOP_FOLDERS
    assert {path.parts[0] for path in relative if len(path.parts) == 1} <= TOP_FILES


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_forbidden_words_are_absent(pattern):
    """No file names a path of one machine, an unfinished end, or what is not of the project."""
    wrong = []
    for path in tree.files():
        if path.suffix in TEXT_SUFFIXES:
            lines = path.read_text(errors="replace").splitlines()
            wrong += [f"{tree.place(path, number)}: {line.strip()[:80]}"
                      for number, line in enumerate(lines, 1) if re.search(pattern, line)]
    assert not wrong, FORBIDDEN[pattern] + ":\n" + "\n".join(wrong)


def test_every_module_has_a_readme():
    """Each engine folder with code explains itself in a README.md."""
    folders = {path.parent for path in tree.engine_files(".c")}
    missing = [str(path.relative_to(ROOT)) for path in sorted(folders | {ENGINE})
               if path.name != "aerostore" and not (path / "README.md").exists()]
    assert not missing
