"""The reliability matrix of docs/reliability.md: its rows, the tests they name, how to run them.

A row is a line of a table: `| P1 | the guarantee | tests |`.  A test is named in code style, as
`tests/unit/test_txn.c::test_the_first_updater_wins`, as `tests_tcl/rows.test: set-1.2`, as
`tests/explore/test_tree.c` for all of a file, or, where the proof is a figure, as `bench scan`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from support import c_items
from support.paths import ROOT

MATRIX = ROOT / "docs" / "reliability.md"
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+?) \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Proof:
    """One named test: a pytest item, one test of a Tcl file, a file (no name), or a benchmark."""

    text: str
    file: str
    name: str

    @property
    def benchmark(self) -> bool:
        """Whether the proof is a figure."""
        return not self.file


@dataclass(frozen=True, slots=True)
class Row:
    """One guarantee."""

    number: str
    guarantee: str
    proofs: tuple[Proof, ...]


def proof(text: str) -> Proof:
    """Read the name of a test."""
    if text.startswith("bench "):
        return Proof(text, "", text.removeprefix("bench "))
    file, _, name = text.partition("::" if "::" in text else ": ")
    return Proof(text, file, name)


def rows(text: str | None = None) -> list[Row]:
    """Read the rows of the matrix."""
    given = MATRIX.read_text(encoding="utf-8") if text is None else text
    return [Row(number, guarantee, tuple(proof(found) for found in NAMED.findall(tests)))
            for number, guarantee, tests in ROW.findall(given)]


def names_of(path: Path) -> set[str]:
    """Tell which tests a file holds, without running it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".test":
        return set(re.findall(r"^\s*test\s+([\w-]+-[\d.]+)\s", text, re.M))
    if path.suffix == ".py":
        return set(re.findall(r"^def (test_\w+)\(", text, re.M))
    if path.name.startswith("fuzz_"):
        return {path.stem}
    return set(c_items.NAMED.findall(c_items.DEFINE.sub("", text)))


def commands(row: Row, python: str) -> list[tuple[list[str], dict[str, str]]]:
    """Tell how the tests of a row are run alone: commands with what their environment needs."""
    pytest = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    plain = [f"{found.file}::{found.name}" if found.name else found.file for found in row.proofs
             if found.file and not found.file.endswith(".test")]
    tcl: dict[str, list[str]] = {}
    for found in row.proofs:
        if found.file.endswith(".test"):
            tcl.setdefault(found.file, []).append(found.name)
    figures = [found.name for found in row.proofs if found.benchmark]
    wanted: list[tuple[list[str], dict[str, str]]] = []
    if plain:
        wanted.append(([*pytest, *plain], {}))
    for file, names in tcl.items():
        # tcltest reads its options there; the other tests of the file count as skipped.
        wanted.append(([*pytest, file], {"TCLTEST_OPTIONS": f"-match {{{' '.join(names)}}}"}))
    if figures:
        wanted.append(([python, "tests/bench/run.py", *figures], {}))
    return wanted
