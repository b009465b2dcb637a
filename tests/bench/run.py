"""Measure the figures of the README beside their peers: `invoke bench`, or this file.

Everything runs on one core (affinity is inherited by the drivers), every peer is measured in the
same run, rounds alternate, and medians are reported.  The numbers go to a table and to
build/bench/results.json, with the machine and the date.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "python"), str(ROOT / "codegen")]

from bench.areas import AREAS  # noqa: E402  the path above makes it importable
from bench.core import OUTPUT, BenchError, Outcome, Work, scratch_folder  # noqa: E402
from bench.plots import draw  # noqa: E402
from bench.servers import install  # noqa: E402

console = Console(stderr=True)


def pin() -> int:
    """Stay on one core from here on, and say which."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def processor() -> str:
    """Name the processor as the kernel does."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def as_json(outcomes: list[Outcome], work: Work, core: int) -> dict[str, object]:
    """Collect a run for build/bench/results.json."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": now.isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "pinned_to": core,
                    "kernel": platform.release(), "python": platform.python_version()},
        "clock": os.environ["BENCH_CLOCK"],
        "rows": work.rows,
        "rounds": work.rounds,
        "measurements": [
            {"benchmark": outcome.name, "what": series.what, "peer": series.peer,
             "unit": series.unit, "median": series.median, "values": series.values}
            for outcome in outcomes for series in outcome.series.values()
        ],
        "bars": [
            {"benchmark": outcome.name, "bar": verdict.bar.text, "bound": verdict.bar.bound,
             "at_least": verdict.bar.at_least, "measured": verdict.ratio,
             "passed": verdict.passed}
            for outcome in outcomes for verdict in outcome.verdicts()
        ],
        "missing": [f"{outcome.name}: {peer}" for outcome in outcomes for peer in outcome.missing],
    }


def show(outcomes: list[Outcome], to: Console) -> None:
    """Print the measurements and the bars."""
    table = Table(title="medians of the rounds, per row or operation", title_justify="left")
    for name in ("what", "peer"):
        table.add_column(name)
    for name in ("median", "least", "most", "a second"):
        table.add_column(name, justify="right")
    for outcome in outcomes:
        for series in outcome.series.values():
            timed = series.unit.startswith("ns/")
            rate = f"{1e9 / series.median:,.0f}" if timed and series.median > 0 else ""
            unit = {"ns/row": "ns", "bytes/row": "bytes"}.get(series.unit, series.unit)
            table.add_row(series.what, series.peer, f"{series.median:,.1f} {unit}",
                          f"{min(series.values):,.1f}", f"{max(series.values):,.1f}", rate)
        for peer in outcome.missing:
            table.add_row(outcome.name, peer, "missing", "", "", "", style="yellow")
    to.print(table)
    bars = Table(title="bars: medians of the rounds' ratios, or of what is named",
                 title_justify="left")
    bars.add_column("claim")
    bars.add_column("measured", justify="right")
    bars.add_column("")
    for outcome in outcomes:
        for verdict in outcome.verdicts():
            measured = "peer missing" if verdict.ratio is None else f"{verdict.ratio:,.2f}"
            style = "green" if verdict.passed else "red"
            bars.add_row(verdict.bar.text, measured, "met" if verdict.passed else "not met",
                         style=style)
    to.print(bars)
    passed = [verdict.passed for outcome in outcomes for verdict in outcome.verdicts()]
    to.print(f"{sum(passed)} of {len(passed)} bars are met.")
    if not all(passed):
        to.print("tests/bench/README.md and the modules' READMEs tell what stands in the way.")


def wide(to: Console) -> Console:
    """Give a file the width that a terminal would have: claims then fit on a line."""
    return to if to.is_terminal else Console(file=to.file, width=120)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="which to run; all by default")] = None,
    check: Annotated[bool, typer.Option(help="exit with 1 when a bar is not met")] = False,
    as_text: Annotated[bool, typer.Option("--json", help="print JSON to standard output")] = False,
    quick: Annotated[bool, typer.Option(help="few rows and rounds: to see that it works")] = False,
    rows: Annotated[int, typer.Option(min=1000, max=10_000_000)] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, max=100)] = 5,
    operations: Annotated[int, typer.Option(min=100, help="keyed operations a round")] = 500_000,
    cpu: Annotated[bool, typer.Option(help="processor time instead of wall time")] = False,
    full: Annotated[bool, typer.Option(help="timed runs as long as the figures say")] = False,
    seconds: Annotated[int, typer.Option(min=0, help="of each timed run; 0: as usual")] = 0,
    add_peers: Annotated[bool, typer.Option("--install", help="install missing peers")] = False,
    plots: Annotated[bool, typer.Option(help="draw a picture of each benchmark")] = True,
) -> None:
    """Measure Aerostore beside its peers; without names, everything."""
    chosen = names or list(AREAS)
    unknown = [name for name in chosen if name not in AREAS]
    if unknown:
        raise typer.BadParameter(f"no benchmark {unknown[0]!r}; there are: {', '.join(AREAS)}")
    if quick:
        rows, rounds, operations = min(rows, 20_000), 1, 5_000
    for command in install() if add_peers else []:
        console.print(f"[yellow]please run:[/yellow] {command}", soft_wrap=True)
    os.environ["BENCH_CLOCK"] = "cpu" if cpu else "wall"
    # Asked to end: end through the clean-up below.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    core = pin()
    work = Work(rows, rounds, operations, scratch_folder(), lambda text: console.log(text), full,
                seconds)
    outcomes: list[Outcome] = []
    failed = False
    try:
        for name in chosen:
            console.log(f"{name}: {(AREAS[name].__doc__ or '').strip()}")
            try:
                outcomes.append(AREAS[name](work))
            except BenchError as error:
                failed = True
                console.print(f"[red]{name} could not run:[/red] {error}", soft_wrap=True)
    finally:
        shutil.rmtree(work.scratch, ignore_errors=True)
    report = as_json(outcomes, work, core)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    if plots:
        for line in draw(outcomes, OUTPUT):
            console.log(line)
    if as_text:
        print(json.dumps(report, indent=1))
    else:
        to = wide(Console())
        to.print(f"{processor()}, {os.cpu_count()} cores, {report['date']}: {rows:,} rows, "
                 f"{rounds} rounds, {os.environ['BENCH_CLOCK']} time", highlight=False)
        show(outcomes, to)
    missed = any(not verdict.passed for outcome in outcomes for verdict in outcome.verdicts())
    if failed or (check and missed):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
