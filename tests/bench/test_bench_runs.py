"""The benchmarks themselves: their arithmetic, and that each runs and finds its peers agreeing."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.areas import AREAS
from bench.core import Bar, Outcome
from bench.run import show, wide
from support.paths import BUILD

RUN = Path(__file__).with_name("run.py")


def outcome(bound: float, at_least: bool) -> Outcome:
    result = Outcome("x", bars=[Bar("claim", "w", "over", "under", bound, at_least)])
    for over, under in [(10.0, 5.0), (100.0, 10.0), (9.0, 3.0)]:  # ratios 2, 10, 3
        result.add("w", "over", over, "ns/row")
        result.add("w", "under", under, "ns/row")
    return result


@pytest.mark.parametrize(("bound", "at_least", "passed"), [
    (3.0, True, True), (3.1, True, False), (2.9, False, False), (3.0, False, True),
])
def test_a_bar_is_held_against_the_median_of_the_rounds_ratios(bound, at_least, passed):
    """Goal: one slow round does not decide.  Method: three rounds with known ratios."""
    verdict, = outcome(bound, at_least).verdicts()
    assert verdict.ratio == 3.0
    assert verdict.passed is passed


def test_a_bar_without_its_peer_is_not_met():
    """Goal: a missing peer proves nothing.  Method: drop the series."""
    result = outcome(1.0, True)
    del result.series["w", "under"]
    verdict, = result.verdicts()
    assert verdict.ratio is None
    assert not verdict.passed


def test_what_is_printed_says_how_many_bars_are_met_and_where_the_reasons_are():
    """Goal: a stranger can read it.  Method: one bar met and one not, on 120 columns."""
    said = io.StringIO()
    show([outcome(3.0, True), outcome(3.1, True)], wide(Console(file=said)))
    assert "1 of 2 bars are met" in said.getvalue()
    assert "tests/bench/README.md" in said.getvalue()
    assert max(map(len, said.getvalue().splitlines())) <= 120


@pytest.mark.slow
@pytest.mark.xdist_group("bench")
@pytest.mark.parametrize("name", list(AREAS))
def test_each_benchmark_runs_and_its_peers_agree(name):
    """Goal: no benchmark rots.  Method: a quick run; the drivers compare peers' answers."""
    if not (BUILD / "aerostore" / "libaerostore.so").exists():
        pytest.skip("build/aerostore is not built; run `invoke build`")
    done = subprocess.run([sys.executable, str(RUN), name, "--quick", "--json"],
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["bars"]
    for measured in report["measurements"]:
        assert len(measured["values"]) >= 1
        # A difference may be negative, and of 16 processes one may get no turn in a short run.
        free = "net" in measured["peer"] or measured["unit"] == "of the mean"
        assert free or measured["median"] > 0, measured


def test_an_unknown_benchmark_is_refused_by_name():
    """Goal: a typing mistake is told.  Method: ask for one that does not exist."""
    done = subprocess.run([sys.executable, str(RUN), "nonsense"], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
