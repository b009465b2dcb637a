"""Assertions: there are enough of them, they only look, and a release build keeps the cheap ones.

A line of code counts when it ends a statement or a declaration; prototypes do not.  The bar is
what has been reached; whoever adds code adds what must be true of it.
"""

import re
import subprocess
from collections import Counter

import pytest

from support import tree
from support.paths import ENGINE

LINES_PER_ASSERTION = 23  # of the engine as a whole; 25 is the goal, and what SQLite has
LINES_PER_ASSERTION_OF_MODULE = 40  # the C interface answers with errors instead
ASSERTION = re.compile(r"\bAE_(?:ALWAYS|ASSERT)\(")


def bodies(text: str) -> list[str]:
    """Return the lines of all function bodies: from a `{` in column one to its `}`."""
    inside, lines = False, []
    for line in text.splitlines():
        if line in "{}" and line:
            inside = line == "{"
        elif inside or line.startswith("    "):  # ... and those of macros that make functions
            lines.append(line)
    return lines


def conditions(text: str) -> list[tuple[int, str]]:
    """Return each assertion's line and condition."""
    found = []
    for match in ASSERTION.finditer(text):
        depth, at = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        found.append((text.count("\n", 0, match.start()) + 1, text[match.end():at - 1]))
    return found


def test_assertions_are_dense():
    """One assertion for so many lines that hold a statement, in all of the engine and by module."""
    lines: Counter[str] = Counter()
    assertions: Counter[str] = Counter()
    for path in tree.engine_files(".c", ".h"):
        module = path.relative_to(ENGINE).parts[0]
        code = tree.code_of(path)
        if path.name == "error.h" or module == "include":
            continue  # the definition; and what users' generated code includes
        count = len(conditions(code))
        assertions[module] += count
        lines[module] += sum(";" in line for line in bodies(code)) - count
    rates = {module: lines[module] / max(assertions[module], 1) for module in lines}
    total = sum(lines.values()) / sum(assertions.values())
    poor = {module: round(rate) for module, rate in rates.items()
            if rate > LINES_PER_ASSERTION_OF_MODULE}
    assert total <= LINES_PER_ASSERTION, (
        f"one assertion for {total:.1f} lines; it was one for {LINES_PER_ASSERTION}: {rates}")
    assert not poor, f"lines for one assertion: {poor}"


def test_assertions_only_look():
    """No condition changes anything: builds that count branches leave them out."""
    changes = re.compile(r"\+\+|--|(?<![=!<>])=(?!=)|\bae_(?:store|cas|add|and|or|raise)(?:32|64)")
    wrong = [f"{tree.place(path, line)}: {' '.join(condition.split())}"
             for path in tree.engine_files(".c", ".h") if path.name != "error.h"
             for line, condition in conditions(tree.code_of(path)) if changes.search(condition)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("flags", "stops"), [((), ("AE_ALWAYS",)),
                                              (("-DAE_DEBUG",), ("AE_ALWAYS", "AE_ASSERT"))])
def test_a_broken_assertion_ends_the_process(tmp_path, flags, stops):
    """Each kind stops the builds it is meant for, saying what was broken and where."""
    for kind in ("AE_ALWAYS", "AE_ASSERT"):
        source = tmp_path / "broken.c"
        source.write_text('#include "base/error.h"\n'
                          f"int main(int count, char **words) {{ (void)words; {kind}(count > 9);"
                          " return 7; }\n")
        program = tmp_path / "broken"
        subprocess.run(["gcc", "-std=c11", "-D_GNU_SOURCE", "-O3", *flags,
                        f"-I{ENGINE / 'include'}", f"-I{ENGINE}", str(source),
                        str(ENGINE / "base/error.c"), "-o", str(program)], check=True)
        done = subprocess.run([program], capture_output=True, text=True, check=False)
        if kind in stops:
            assert done.returncode < 0, done
            assert f"invariant broken: count > 9 ({source}:2)" in done.stderr
        else:
            assert done.returncode == 7, done
