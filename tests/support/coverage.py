"""Which branches of the engine its tests take: instrumented builds, and what they recorded.

With AEROSTORE_COVERAGE set to a folder, C tests and libraries are built by clang with counters that
lie in files mapped by the programs: the counts of a process outlive its SIGKILL, and those of its
children are added.  A branch is one outcome of one condition (each operand of && and || by itself).
Assertions are left out of these builds: an outcome that would end the process is no branch.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.paths import BUILD, ENGINE, ROOT

FOLDER = os.environ.get("AEROSTORE_COVERAGE")
RAW = BUILD / "coverage" / "raw"
CACHE = BUILD / "coverage" / "tests"
FLAGS = ("-fprofile-instr-generate", "-fcoverage-mapping", "-mllvm", "-runtime-counter-relocation",
         "-DAE_COVERAGE")
# The parts that read what others wrote, to which more is held than to the rest; each file of the
# engine that decides there.
PARTS = {
    "recovery": ("durable/recover.c", "durable/load.c", "durable/fill.c", "wal/reader.c",
                 "wal/files_read.c"),
    "log codec": ("wal/codec.c", "wal/logical.c", "wal/frame.c"),
    "attach": ("durable/open.c", "shm/segment.c", "base/os_segment.c", "base/os_store.c"),
}
# Conditions that are constants decide nothing.
CONSTANT = re.compile(r"(?:true|false|\d+u?|[A-Z][A-Z0-9_]*|sizeof\b.*)$")

Place = tuple[int, int, int, int]


@dataclass(slots=True)
class Branches:
    """The conditions of one file: where each is, and whether it was ever true, and ever false."""

    outcomes: dict[Place, list[bool]] = field(default_factory=dict)

    def add(self, place: Place, true: int, false: int) -> None:
        """Add what one program saw of a condition."""
        seen = self.outcomes.setdefault(place, [False, False])
        seen[0] |= true > 0
        seen[1] |= false > 0

    @property
    def total(self) -> int:
        """Number of outcomes."""
        return 2 * len(self.outcomes)

    @property
    def taken(self) -> int:
        """Number of outcomes that some test saw."""
        return sum(sum(seen) for seen in self.outcomes.values())


def merge() -> Path:
    """Merge what the programs recorded into one file."""
    output = BUILD / "coverage" / "all.profdata"
    listing = BUILD / "coverage" / "raw.txt"
    raw = [path for path in sorted(RAW.glob("*.profraw")) if path.stat().st_size]
    listing.write_text("".join(f"{path}\n" for path in raw))
    subprocess.run(["llvm-profdata", "merge", "-sparse", "-failure-mode=all",
                    f"-input-files={listing}", "-o", str(output)], check=True)
    return output


def groups() -> Iterable[list[Path]]:
    """Return the programs of each way to compile; llvm-cov takes a function's first shape only."""
    for folder in sorted(CACHE.glob("*/bin")):
        yield [path for path in sorted(folder.glob("*/*"))
               if path.is_file() and not path.suffix and os.access(path, os.X_OK)]
    yield sorted((CACHE / "lib").glob("*/*/lib*.so"))


def branches() -> dict[str, Branches]:
    """Read the branches of each engine file from the recorded profiles."""
    profile = merge()
    files: dict[str, Branches] = {}
    for programs in groups():
        if not programs:
            continue
        first, *others = programs
        command = ["llvm-cov", "export", f"-instr-profile={profile}", str(first)]
        for other in others:
            command += ["-object", str(other)]
        done = subprocess.run(command, capture_output=True, check=True)
        for function in json.loads(done.stdout)["data"][0]["functions"]:
            for line, column, line_end, column_end, true, false, number, *_ in function["branches"]:
                path = Path(function["filenames"][number])
                if path.is_relative_to(ENGINE):
                    name = str(path.relative_to(ENGINE))
                    place = (line, column, line_end, column_end)
                    files.setdefault(name, Branches()).add(place, true, false)
    for name, found in files.items():
        lines = (ENGINE / name).read_text().splitlines()
        for place in [place for place in found.outcomes if CONSTANT.match(text_at(lines, place))]:
            del found.outcomes[place]
    return files


def text_at(lines: Sequence[str], place: Place) -> str:
    """Return the text of a condition, its first line at least."""
    line, column, line_end, column_end = place
    text = lines[line - 1][column - 1:column_end - 1 if line == line_end else None]
    return text if line == line_end else text + " …"


def rate(found: Iterable[Branches]) -> str:
    """Write taken and total outcomes and their part in percent."""
    chosen = list(found)
    taken, total = sum(one.taken for one in chosen), sum(one.total for one in chosen)
    return f"{taken:6} of {total:6}  {100 * taken / max(total, 1):6.2f} %"


def report(missing: Sequence[str]) -> None:
    """Print the rates, and for files that begin with a word of `missing` what nobody took."""
    files = branches()
    for name in sorted(files):
        print(f"{rate([files[name]])}  {name}")
    for part, names in PARTS.items():
        print(f"{rate(files[name] for name in names if name in files)}  {part}")
    print(f"{rate(files.values())}  all of the engine")
    for name in sorted(files):
        if name.startswith(tuple(missing)) and missing:
            lines = (ENGINE / name).read_text().splitlines()
            for place, seen in sorted(files[name].outcomes.items()):
                if not all(seen):
                    lacks = [word for word, one in zip(("true", "false"), seen, strict=True)
                             if not one]
                    print(f"{(ENGINE / name).relative_to(ROOT)}:{place[0]}: never "
                          f"{' and '.join(lacks)}: {text_at(lines, place)}")


if __name__ == "__main__":
    report(sys.argv[1:])
