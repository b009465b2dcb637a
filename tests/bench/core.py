"""What every benchmark shares: measurements by peer and round, bars on their ratios, a workplace.

A bar compares two peers measured in the same run.  Ratios are taken round by round and the median
of those is held against the bar, so that a machine that slows down between rounds slows both sides.
A peer that is not installed is reported as missing; a bar that needs it then fails, since nothing
was shown.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.paths import BUILD, ENGINE, ROOT, memory_folder

DRIVERS = Path(__file__).resolve().parent / "drivers"
OUTPUT = BUILD / "bench"
LIBRARY = BUILD / "aerostore"
# Where libraries' headers are, if not where their names say.
HEADERS = {"pq": "libpq-fe"}
PQ_HEADERS = Path("/usr/include/postgresql")


@dataclass(slots=True)
class Series:
    """The measurements of one peer at one thing, round by round."""

    what: str
    peer: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Bar:
    """A claim: `ratio` of the two series is at least, or at most, `bound`.

    Attributes:
        text: the claim in words, as in the README.
        what: the thing measured.
        over: the peer whose values are divided ...
        under: ... by the values of this one; "" for a bar on the value itself.
        bound: the number the median ratio is compared with.
        at_least: True for "at least", False for "at most".
        under_what: the thing the divisor measures, where that is another one.
    """

    text: str
    what: str
    over: str
    under: str
    bound: float
    at_least: bool = True
    under_what: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar and what was measured; `ratio` is None when a peer is missing."""

    bar: Bar
    ratio: float | None

    @property
    def passed(self) -> bool:
        """Whether the bar is met."""
        if self.ratio is None:
            return False
        return (self.ratio >= self.bar.bound) == self.bar.at_least or self.ratio == self.bar.bound


@dataclass(slots=True)
class Outcome:
    """What one benchmark measured and which bars it is held against."""

    name: str
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def add(self, what: str, peer: str, value: float, unit: str) -> None:
        """Append a measurement."""
        series = self.series.setdefault((what, peer), Series(what, peer, unit))
        series.values.append(value)

    def verdicts(self) -> list[Verdict]:
        """Hold the series against the bars."""
        return [Verdict(bar, self._ratio(bar)) for bar in self.bars]

    def _ratio(self, bar: Bar) -> float | None:
        over = self.series.get((bar.what, bar.over))
        if over is None:
            return None
        if not bar.under:
            return over.median
        under = self.series.get((bar.under_what or bar.what, bar.under))
        if under is None:
            return None
        return statistics.median(
            a / b for a, b in zip(over.values, under.values, strict=True)
        )


class BenchError(Exception):
    """A benchmark could not run; the text says why."""


@dataclass(slots=True)
class Work:
    """Sizes of a run, its scratch folder on tmpfs, and the tools benchmarks are built with."""

    rows: int
    rounds: int
    operations: int
    scratch: Path
    say: Callable[[str], None]
    full: bool = False
    seconds: int = 0  # of a timed run; 0: what the benchmark thinks right

    @property
    def quick(self) -> bool:
        """Whether this run is only to see that everything works."""
        return self.rounds == 1 and not self.full

    def folder(self, name: str) -> Path:
        """Make an empty folder on tmpfs; benchmarks remove theirs when done."""
        path = self.scratch / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def flights(self) -> Path:
        """Return the TSV of made-up flights, written once per size."""
        path = OUTPUT / f"flights_{self.rows}.tsv"
        program = self.driver("make_tsv")
        stale = not path.exists() or path.stat().st_mtime < program.stat().st_mtime
        if stale:
            self.say(f"writing {self.rows:,} flights")
            part = Path(tempfile.mkstemp(dir=OUTPUT, suffix=".part")[1])
            self.run([str(program), str(self.rows), str(part)])
            part.replace(path)
        return path

    def package(self, name: str) -> Path:
        """Compile a schema of this folder; return its library."""
        from aerostore_codegen import build, emit, load, lower, write

        folder = OUTPUT / "packages" / name
        self.say(f"compiling the package {name}")
        schema = load.load_schema(DRIVERS.parent / "schemas" / f"{name}.py")
        write.write_files(folder, emit.emit(lower.lower(schema, None)))
        try:  # the engine's objects are those of the checkout's own packages
            return Path(build.build_package(folder, folder))
        except build.BuildError as error:
            raise BenchError(str(error)) from error

    def driver(self, name: str, library: Path = LIBRARY / "libaerostore.so") -> Path:
        """Compile one of the C drivers with -O2 against the built library."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        if not library.exists():
            raise BenchError(f"{library.relative_to(ROOT)} is missing; run `invoke build` first")
        source, output = DRIVERS / f"{name}.c", OUTPUT / name
        newest = max(path.stat().st_mtime for path in (*DRIVERS.glob("*.h"), source, library))
        if output.exists() and output.stat().st_mtime > newest:
            return output
        peers = [peer for peer in ("lmdb", "sqlite3", "pq") if has_library(peer)]
        command = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                   f"-DBENCH_LMDB={int('lmdb' in peers)}",
                   f"-DBENCH_SQLITE={int('sqlite3' in peers)}",
                   f"-DBENCH_PQ={int('pq' in peers)}", f"-I{ENGINE / 'include'}", f"-I{PQ_HEADERS}",
                   str(source), "-o", str(output), str(library), f"-Wl,-rpath,{library.parent}",
                   *(f"-l{peer}" for peer in peers)]
        self.run(command)
        return output

    def engine_driver(self, name: str) -> Path:
        """Link a C driver with the objects of the engine, whose internals it measures."""
        from aerostore_codegen import build

        OUTPUT.mkdir(parents=True, exist_ok=True)
        source, output = DRIVERS / f"{name}.c", OUTPUT / name
        package = ROOT / "generated" / "aerostore"
        try:
            objects = build.engine_objects(package)
        except build.BuildError as error:
            raise BenchError(str(error)) from error
        read = (*objects, *DRIVERS.glob("*.h"), source)
        if output.exists() and output.stat().st_mtime > max(path.stat().st_mtime for path in read):
            return output
        command = ["cc", "-std=c11", "-D_GNU_SOURCE", "-O2", f"-I{ENGINE / 'include'}",
                   f"-I{ENGINE}", f"-I{package}", str(source), *map(str, objects), "-o",
                   str(output), "-lm", "-lpthread", "-ldl"]
        self.run(command)
        return output

    def run(self, command: list[str], timeout: float = 900.0) -> str:
        """Run a program to its end and return what it printed."""
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                                  timeout=timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BenchError(f"{command[0]}: {error}") from error
        if done.returncode != 0:
            raise BenchError(f"{Path(command[0]).name} ended with {done.returncode}: "
                             f"{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def measure(self, outcome: Outcome, command: list[str]) -> None:
        """Run a driver and add the measurements it prints, one JSON object a line."""
        for line in self.run(command).splitlines():
            if line.startswith("{"):
                got = json.loads(line)
                outcome.add(got["what"], got["peer"], got["value"], got["unit"])

    def python(self, script: str, *arguments: str) -> list[str]:
        """Return the command that runs one of this folder's Python drivers."""
        return [sys.executable, str(DRIVERS / script), *arguments]


def has_library(name: str) -> bool:
    """Tell whether a C library can be compiled and linked against."""
    header = f"#include <{HEADERS.get(name, name)}.h>\nint main(void) {{ return 0; }}\n"
    command = ["cc", f"-I{PQ_HEADERS}", "-x", "c", "-", "-o", "/dev/null", f"-l{name}"]
    return subprocess.run(command, input=header, text=True, capture_output=True,
                          check=False).returncode == 0


def note_missing(outcome: Outcome, expected: Iterable[tuple[str, str]]) -> None:
    """Remember the peers that gave no measurement."""
    for what, peer in expected:
        if (what, peer) not in outcome.series:
            outcome.missing.append(f"{peer} ({what})")


def scratch_folder() -> Path:
    """Make the run's folder on tmpfs."""
    return Path(tempfile.mkdtemp(prefix="aerostore-bench-", dir=memory_folder()))
