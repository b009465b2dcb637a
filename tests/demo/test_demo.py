"""The demo runs, ends by itself, replays files, tells what is wrong, and leaves nothing behind."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.paths import ROOT, memory_folder
from support.patience import until

LINES = [
    f"F{n % 50}\t{n % 90}.5\t{n % 180}.25\t{n}\t100.5\t{1_533_099_600 + n / 10:.3f}\tB738\t\n"
    for n in range(20_000)
]


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "aerostore", "demo", *options]


def environment() -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT / "python"), str(ROOT / "codegen")])
    return {**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}


def demo(*options: str, status: int = 0) -> str:
    done = subprocess.run(command(*options), env=environment(), capture_output=True, text=True,
                          timeout=90, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def leftovers() -> set[Path]:
    return set(memory_folder().glob("aerostore-demo-*"))


@pytest.fixture(autouse=True)
def built(aerostore_library: Path) -> None:
    """Have the library before the demo asks for it."""


def test_the_simulation_ends_by_itself_with_a_summary():
    """Goal: the demo as people start it, shorter.  Method: run it, read its summary."""
    before = leftovers()
    said = demo("--seconds", "3", "--writers", "3", "--flights", "90")
    assert "with 3 writer processes" in said
    assert re.search(r"flights +90 ", said)
    assert re.search(r"wrong number of flights: 0\b", said)
    assert int(re.search(r"rows in +([\d,]+)", said)[1].replace(",", "")) > 90
    assert int(re.search(r"searches +([\d,]+)", said)[1].replace(",", "")) > 4
    assert "verified" in said
    assert leftovers() <= before


@pytest.mark.parametrize("packed", [False, True])
def test_a_recorded_file_is_replayed_flat_out(tmp_path, packed):
    """Goal: every line of a feed goes in, also gzipped.  Method: count rows and keys."""
    path = tmp_path / ("feed.tsv.gz" if packed else "feed.tsv")
    data = "".join(LINES).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    said = demo("--feed", str(path), "--writers", "2")
    assert re.search(r"rows in +20,000 ", said)
    assert re.search(r"flights +50\b", said)


def test_a_replay_keeps_the_chosen_speed(tmp_path):
    """Goal: --speed.  Method: 2,000 seconds of recording at 1,000 times take about two."""
    path = tmp_path / "feed.tsv"
    path.write_text("".join(LINES))
    start = time.monotonic()
    said = demo("--feed", str(path), "--speed", "1000", "--writers", "2")
    assert time.monotonic() - start >= 2.0
    assert re.search(r"rows in +20,000 ", said)


@pytest.mark.parametrize(("content", "words"), [
    ("", "no lines"),
    ("not a position\n", "line 1: column 6"),
    ("".join(LINES[:700]) + "F1\tx\t1\t1\t1\t1533099600\n", "line 701"),
    ("x" * 100_000, "line 1 is longer"),
])
def test_a_bad_feed_is_told_by_line(tmp_path, content, words):
    """Goal: clear errors.  Method: files that are wrong at the start and in the middle."""
    path = tmp_path / "feed.tsv"
    path.write_text(content)
    assert words in demo("--feed", str(path), status=1)


def test_a_cut_gzip_file_is_told(tmp_path):
    """Goal: damage is no silent end.  Method: half a gzip file."""
    path = tmp_path / "feed.tsv.gz"
    packed = gzip.compress("".join(LINES).encode())
    path.write_bytes(packed[: len(packed) // 2])
    assert "after line" in demo("--feed", str(path), status=1)


def test_a_missing_feed_is_told(tmp_path):
    """Goal: clear errors.  Method: name a file that is not there."""
    assert "No such file" in demo("--feed", str(tmp_path / "absent.tsv"), status=1)


def children(parent: int) -> set[int]:
    """Find the children of a process."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after[1]) == parent:
            found.add(int(status.parent.name))
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(number, status):
    """Goal: nothing is left behind.  Method: signal a running demo; look for leftovers."""
    before = leftovers()
    process = subprocess.Popen(command("--seconds", "60", "--writers", "2"), env=environment(),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(lambda: len(children(process.pid)) == 2)
    writers = children(process.pid)
    process.send_signal(number)
    said = process.communicate(timeout=20)[0]
    assert process.returncode == status, said
    assert not any(alive(writer) for writer in writers)
    assert leftovers() <= before


def test_writers_end_when_their_parent_is_killed():
    """Goal: no orphan works on.  Method: SIGKILL the parent, wait for the writers to go."""
    before = leftovers()
    process = subprocess.Popen(command("--seconds", "60", "--writers", "2"), env=environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(children(process.pid)) == 2)
    writers = children(process.pid)
    process.kill()
    process.wait()
    until(lambda: not any(alive(writer) for writer in writers))
    for folder in leftovers() - before:
        subprocess.run(["rm", "-r", str(folder)], check=True)
