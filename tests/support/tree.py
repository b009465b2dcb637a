"""The files of the tree: what is, or would be, committed; and C sources without their comments."""

import functools
import re
import shutil
import subprocess
from pathlib import Path

from support.paths import ENGINE, GENERATED, ROOT

COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
# What .gitignore says, for trees without git.
IGNORED = re.compile(
    r"^(\.venv|build|dist|var|\.git)/|\.egg-info/|__pycache__/|_cache/|\.hypothesis/|\.(pyc|o|so)$")


@functools.cache
def files() -> tuple[Path, ...]:
    """List the files that are committed, or would be by adding everything."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
        paths = [ROOT / name for name in done.stdout.split("\0") if name]
    else:  # an unpacked archive
        paths = [path for path in ROOT.rglob("*")
                 if not IGNORED.search(str(path.relative_to(ROOT)))]
    return tuple(sorted({path for path in paths if path.is_file()}))


def engine_files(*suffixes: str) -> list[Path]:
    """List the engine's files with one of these suffixes."""
    return [path for path in files() if path.is_relative_to(ENGINE) and path.suffix in suffixes]


def c_files() -> list[Path]:
    """List the C files and headers of engine, Tcl glue and generated code."""
    roots = (ENGINE, GENERATED, ROOT / "tcl")
    return [path for path in files()
            if path.suffix in (".c", ".h") and any(path.is_relative_to(root) for root in roots)
            and not path.name.endswith(".cdef.h")]


def place(path: Path, line: int) -> str:
    """Name a place as people and editors read it."""
    return f"{path.relative_to(ROOT)}:{line}"


@functools.cache
def code_of(path: Path) -> str:
    """Return C text with comments and the contents of literals blanked, lines kept."""
    def blank(match: re.Match[str]) -> str:
        text = match[0]
        if text.startswith("/"):
            return " " + "\n" * text.count("\n")
        return text[0] + text[-1]

    return COMMENT_OR_STRING.sub(blank, path.read_text())


def search(path: Path, pattern: str) -> list[str]:
    """Find a pattern in a C file's code; returns places with the text found."""
    return [f"{place(path, number)}: {match[0].strip()}"
            for number, line in enumerate(code_of(path).splitlines(), 1)
            for match in [re.search(pattern, line)] if match]
