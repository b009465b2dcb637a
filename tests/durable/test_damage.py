"""A corruption campaign: whatever happens to a file, recovery gives a prefix or refuses.

A small store is copied and spoilt in one place, then opened.  Good outcomes are two: the rows of
some commit that is not older than what was surely durable, or a refusal that names a file and
leaves every file as it was.  $AEROSTORE_TORTURE=1 takes every bit and length; otherwise a sample
with a printed seed.
"""

import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import aerostore
from durable import stores

SAMPLE = 40
THOROUGH = os.environ.get("AEROSTORE_TORTURE") == "1"
EDGE = 4096


def draw(total: int, rng: random.Random) -> Iterator[int]:
    """Give every number below a total, or a sample of them with both ends."""
    if THOROUGH or total <= SAMPLE:
        yield from range(total)
        return
    yield from {0, total - 1, *rng.sample(range(total), SAMPLE)}


def flips(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Flip single bits of the first and the last 4 KiB."""
    places = sorted({*range(min(EDGE, len(data))), *range(max(0, len(data) - EDGE), len(data))})
    for bit in draw(len(places) * 8, rng):
        spoilt = bytearray(data)
        spoilt[places[bit // 8]] ^= 1 << bit % 8
        yield bytes(spoilt)


def cuts(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Cut the file at every length."""
    for length in draw(len(data), rng):
        yield data[:length]


def blocks(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Zero, repeat, exchange and replace blocks of 512 bytes."""
    count = (len(data) + 511) // 512
    pieces = [data[at * 512:(at + 1) * 512] for at in range(count)]
    for index in draw(count, rng):
        other = rng.randrange(count)
        for kind in range(4):
            new = list(pieces)
            if kind == 0:
                new[index] = bytes(len(pieces[index]))
            elif kind == 1:
                new.insert(index, pieces[index])
            elif kind == 2:
                new[index], new[other] = new[other], new[index]
            else:
                new[index] = rng.randbytes(len(pieces[index]))
            yield b"".join(new)


def foreign(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Add what does not belong there: zeros, noise, the file once more."""
    for tail in (bytes(8), bytes(5000), rng.randbytes(64), rng.randbytes(5000), data, data[:200]):
        yield data + tail
    yield b""


@pytest.mark.parametrize("kind", [flips, cuts, blocks, foreign], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("which", ["log", "checkpoint"])
def test_damage_gives_a_prefix_or_a_refusal(place, profile, which, kind):
    """Goal: 0 crashes, 0 wrong rows, 0 files changed.  Method: see the head of this file."""
    seed = int(os.environ.get("AE_TEST_SEED", random.randrange(2**32)))
    print(f"AE_TEST_SEED={seed}")
    rng = random.Random(seed)
    history = stores.make(place / "s", profile)
    checkpoint = stores.FILES[profile][1]
    [log] = set(stores.snapshot(place / "s")) - {checkpoint}
    name = log if which == "log" else checkpoint
    data = (place / "s" / name).read_bytes()
    copy = history.copy(place / "copy")
    outcomes = {"prefix": 0, "refused": 0}
    for spoilt in kind(data, rng):
        shutil.rmtree(copy)
        copy.mkdir()
        for file in (log, checkpoint):
            (copy / file).write_bytes((place / "s" / file).read_bytes())
        (copy / name).write_bytes(spoilt)
        before = stores.snapshot(copy)
        try:
            with history.open(copy) as db:
                found = stores.contents(db)
        except (aerostore.CorruptionError, aerostore.LayoutMismatch) as error:
            outcomes["refused"] += 1
            refusal = str(error)
        else:
            outcomes["prefix"] += 1
            # The checkpoint's rows are durable; after it at most the torn tail may be missing.
            assert found in history.states[12:], (seed, len(spoilt))
            # A flipped bit is in one frame: but for the last one, later ones tell of it.
            assert kind is not flips or found in history.states[-3:], (seed, len(spoilt))
            assert which == "log" or spoilt == data, "a damaged checkpoint was believed"
            refusal = ""
        assert not refusal or str(copy) in refusal or "log" in refusal, refusal
        assert stores.snapshot(copy) == before
    print(outcomes)
    assert outcomes["refused"] > 0


def data_bytes() -> int:
    """What this process has of the memory that RLIMIT_DATA counts."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmData:\s+(\d+) kB", status)[1]) << 10


def test_lengths_from_files_are_not_believed(place, profile):
    """Goal: enormous lengths are refused before memory is taken for them: 512 MB must do."""
    import resource

    history = stores.make(place / "s", profile)
    checkpoint = stores.FILES[profile][1]
    [log] = set(stores.snapshot(place / "s")) - {checkpoint}
    old = resource.getrlimit(resource.RLIMIT_DATA)
    for name, offset in ((log, 8), (log, 8 + 128), (checkpoint, 8), (checkpoint, 8 + 136)):
        for length in (2**32 - 1, 2**31, 2**30, 21 << 20, 0, 63):
            copy = history.copy(place / "copy")
            data = bytearray((copy / name).read_bytes())
            data[offset:offset + 4] = length.to_bytes(4, "little")
            (copy / name).write_bytes(data)
            resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + (512 << 20), old[1]))
            try:
                with history.open(copy) as db:
                    assert stores.contents(db) in history.states[12:]
            except (aerostore.CorruptionError, aerostore.LayoutMismatch):
                pass
            finally:
                resource.setrlimit(resource.RLIMIT_DATA, old)


def test_a_store_of_a_short_history_is_whole_at_every_cut(place, profile):
    """Goal: a log without a checkpoint, cut anywhere behind its first frame, is a prefix."""
    history = stores.make(place / "s", profile, before=8, after=0)
    name = stores.FILES[profile][0]
    data = (place / "s" / name).read_bytes()
    copy = history.copy(place / "copy")
    seen = set()
    rng = random.Random(7)
    for length in draw(len(data), rng):
        (copy / name).write_bytes(data[:length])
        before: Path | dict[str, bytes] = stores.snapshot(copy)
        try:
            with history.open(copy) as db:
                found = stores.contents(db)
        except aerostore.CorruptionError:
            assert length < 128
        else:
            assert found in history.states
            seen.add(history.states.index(found))
        assert stores.snapshot(copy) == before
    assert len(seen) > 3
