"""The explorer finds planted faults: each guarantee's code is broken once, in a copy.

A mutant is the engine with one edit.  The model that covers the place must fail, print a schedule,
and fail again when only that schedule is run.
"""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import c_items, cbuild
from support.paths import ENGINE

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one engine file, and the test that must notice."""

    name: str
    file: str
    old: str
    new: str
    program: str
    test: str
    seen_by: tuple[str, ...] = ()  # of a header: the sources that take it in

    def folder(self) -> Path:
        """Write the changed files, and return the folder that holds them."""
        text = (ENGINE / self.file).read_text()
        assert text.count(self.old) == 1, (
            f"mutant {self.name!r} no longer fits {self.file}: choose its text anew")
        parts = (self.file, self.old, self.new, *self.seen_by)
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
        folder = cbuild.CACHE / "mutants" / key
        files = {self.file: text.replace(self.old, self.new)}
        files |= {source: (ENGINE / source).read_text() for source in self.seen_by}
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != content:
                path.write_text(content)
        return folder


MUTANTS = (
    Mutant("entry of a later lap is taken", "txn/queue.c",
           "if (ae_load64_acquire(&shared->tail) != tail)", "if (false)",
           "test_queue.c", "test_a_lap_goes_by"),
    Mutant("clock passes the undecided", "txn/queue.c",
           "    if (ae_state_of(state) == AE_STATE_COMMITTING) {\n        if (!force)",
           "    if (force && ae_state_of(state) == AE_STATE_COMMITTING) {\n        if (!force)",
           "test_queue.c", "test_three_commit_at_once"),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_planted_fault_is_found(mutant):
    """The model fails, and its schedule alone fails too."""
    source = HERE / mutant.program
    links = c_items.comment_words(source.read_text(), "links")
    program = cbuild.program(source, "explore", links, ("-lcmocka",), mutant.folder())
    environment = dict(os.environ)
    for _ in range(2):
        done = subprocess.run([program, mutant.test], capture_output=True, text=True, check=False,
                              timeout=c_items.TIMEOUT_S, env=environment)
        answer = done.stdout[-2000:] + done.stderr
        assert done.returncode == 1, answer
        assert "AE_SCHEDULE='" in done.stderr, answer
        environment["AE_SCHEDULE"] = done.stderr.split("AE_SCHEDULE='")[1].split("'")[0]
