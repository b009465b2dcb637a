"""C unit tests as pytest items: every cmocka test of a file, in every variant the file asks for.

The names come from the source when tests are collected, so that collecting builds nothing; before
the first test of a program runs, its own `--list` must say the same.
"""

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import cbuild

NAMED = re.compile(r"\bcmocka_unit_test\w*\(\s*(\w+)")
DEFINE = re.compile(r"^\s*#\s*define(?:.*\\\n)*.*$", re.MULTILINE)
TIMEOUT_S = int(os.environ.get("AEROSTORE_PROGRAM_SECONDS", "570"))


def comment_words(text: str, label: str) -> list[str]:
    """Read the words of a `label: …` line in the comments near the top of a file."""
    head = "\n".join(text.splitlines()[:40])
    found = re.search(rf"^[\s/*]*{label}:\s*([^\n]*?)\s*(\*/)?\s*$", head, re.MULTILINE)
    return found[1].split() if found else []


class CFile(pytest.File):
    """One C file with an AE_TEST_MAIN."""

    def collect(self) -> Iterator[pytest.Item]:
        text = self.path.read_text()
        names = NAMED.findall(DEFINE.sub("", text))
        if not names:
            raise self.CollectError(f"{self.path}: no cmocka_unit_test in sight")
        links = comment_words(text, "links")
        for variant in comment_words(text, "variants") or ["plain", "asan"]:
            if variant not in cbuild.VARIANTS:  # where branches are counted, only some are built
                continue
            for name in names:
                item = CItem.from_parent(self, name=f"{name}[{variant}]")
                item.test_name, item.variant = name, variant
                item.links, item.names = tuple(links), tuple(names)
                yield item


@functools.cache
def built(path: Path, variant: str, links: tuple[str, ...], names: tuple[str, ...]) -> Path:
    """Build a program and compare the tests it lists with those of its source."""
    program = cbuild.program(path, variant, links, ("-lcmocka",))
    listing = subprocess.run([program, "--list"], capture_output=True, text=True, check=True,
                             env=cbuild.sanitizer_environment(), timeout=TIMEOUT_S)
    listed = listing.stdout.split()
    if sorted(listed) != sorted(names):
        difference = set(listed) ^ set(names)
        raise cbuild.BuildError(f"{path}: listed in source or program only: {difference}")
    return program


class CItem(pytest.Item):
    """One cmocka test in one variant."""

    test_name: str
    variant: str
    links: tuple[str, ...]
    names: tuple[str, ...]

    def runtest(self) -> None:
        program = built(self.path, self.variant, self.links, self.names)
        done = subprocess.run([program, self.test_name], capture_output=True, text=True,
                              errors="replace", check=False, timeout=TIMEOUT_S,
                              env=cbuild.sanitizer_environment())
        if "[  SKIPPED ]" in done.stderr or "[  SKIPPED ]" in done.stdout:
            pytest.skip("the program skipped it")
        if done.returncode != 0:
            raise ProgramFailed(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException],
                     style: object = None) -> str:
        if isinstance(excinfo.value, (ProgramFailed, cbuild.BuildError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class ProgramFailed(Exception):
    """A test program ended with an error; the text is its output."""


def collect(parent: pytest.Collector, path: Path) -> CFile | None:
    """Make a collector of a C test file."""
    if path.suffix == ".c" and path.name.startswith("test_"):
        return CFile.from_parent(parent, path=path)
    return None
