"""Fuzz targets as pytest items: build with libFuzzer and sanitizers, run the corpus, then search.

`fuzz_NAME.c` has its seeds in `corpus/NAME/`.  Seeds are only read; what a run discovers goes to
build/, so that the tree changes by decision only.  $AEROSTORE_FUZZ_SECONDS sets the time for each.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import c_items, cbuild
from support.paths import BUILD

SECONDS = int(os.environ.get("AEROSTORE_FUZZ_SECONDS", "3"))
INPUT_TIMEOUT_S = 10  # one input that takes longer is a finding: every parser's time is bounded
MEMORY_MB = 1024


class FuzzFile(pytest.File):
    """One libFuzzer target."""

    def collect(self) -> Iterator[pytest.Item]:
        yield FuzzItem.from_parent(self, name=self.path.stem)


class FuzzItem(pytest.Item):
    """One bounded run of a target; a finding is kept under build/ and named in the failure."""

    def runtest(self) -> None:
        links = c_items.comment_words(self.path.read_text(), "links")
        program = cbuild.program(self.path, "fuzz", links)
        topic = self.path.stem.removeprefix("fuzz_")
        seeds = self.path.parent / "corpus" / topic
        found = BUILD / "fuzz" / topic
        for folder in (found / "corpus", found / "findings"):
            folder.mkdir(parents=True, exist_ok=True)
        # The first folder is where new inputs go; the seeds after it are only read.
        folders = [str(found / "corpus"), *([str(seeds)] if seeds.is_dir() else [])]
        command = [str(program), f"-max_total_time={SECONDS}", f"-timeout={INPUT_TIMEOUT_S}",
                   f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={found}/findings/",
                   "-print_final_stats=1", *folders]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              check=False, cwd=found, env=cbuild.sanitizer_environment(),
                              timeout=SECONDS * 4 + 300, preexec_fn=no_core)
        if done.returncode != 0:
            raise c_items.ProgramFailed(f"{' '.join(command)}\n{done.stderr[-8000:]}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException],
                     style: object = None) -> str:
        if isinstance(excinfo.value, (c_items.ProgramFailed, cbuild.BuildError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


def no_core() -> None:
    """Keep a finding from filling the disk with the shadow memory of its sanitizer."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def collect(parent: pytest.Collector, path: Path) -> FuzzFile | None:
    """Make a collector of a fuzz target."""
    is_target = path.suffix == ".c" and path.name.startswith("fuzz_")
    return FuzzFile.from_parent(parent, path=path) if is_target else None
