"""Packed checkpoints: smaller, as safe as others, refused by name where nothing can read them."""

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import aerostore
from durable import stores

HEAD, PACKED = 48, 4
ROWS = 8_000
OPEN = """
import sys
import aerostore
try:
    with aerostore.open(sys.argv[1], sys.argv[2], "256MiB", memory="private") as db:
        if len(sys.argv) > 3:
            db.set_config(sys.argv[3], "on")
        print(len(db["FlightState"]))
except aerostore.Error as error:
    print(type(error).__name__, error)
"""


def flights() -> list[dict[str, object]]:
    return [stores.row(f"F{number}", number) for number in range(ROWS)]


def make(place: Path, profile: str, setting: str) -> tuple[Path, stores.State]:
    """Write a store with a checkpoint of several blocks; return the checkpoint and the rows."""
    directory = place / setting
    with aerostore.open(directory, profile, "256MiB", memory="private") as db:
        db.set_config("aerostore.checkpoint_compression", setting)
        db["FlightState"].upsert_many(flights())
        assert db.checkpoint().rows == ROWS
        return directory / stores.FILES[profile][1], stores.contents(db)


def blocks(data: bytes) -> list[tuple[int, int, int]]:
    """List the blocks of a checkpoint: offset, length, kind."""
    found, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from("<II", data, at + 8)
        found.append((at, length, kind))
        at += length
    return found


def without_library(place: Path) -> dict[str, str]:
    """Give an environment in which the loader finds a libzstd that is none."""
    folder = place / "lib"
    folder.mkdir(exist_ok=True)
    (folder / "libzstd.so.1").write_bytes(b"no library " * 1000)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def run(place: Path, *arguments: str) -> str:
    """Open a store where there is no libzstd."""
    return subprocess.run([sys.executable, "-c", OPEN, *arguments], env=without_library(place),
                          capture_output=True, text=True, check=True).stdout


def test_packed_rows_come_back(place, profile):
    """Goal: the same rows from less bytes, and again after the next checkpoint without it."""
    plain, rows = make(place, profile, "off")
    packed, same = make(place, profile, "on")
    assert same == rows
    data = packed.read_bytes()
    print(len(data), "of", plain.stat().st_size)
    assert len(data) < plain.stat().st_size / 2
    assert {kind for _, _, kind in blocks(data)[1:-1]} == {PACKED}
    assert data[HEAD] == 2 and plain.read_bytes()[HEAD] == 1
    aerostore.verify_files(packed.parent)
    with aerostore.open(packed.parent, profile, "256MiB", memory="private") as db:
        assert stores.contents(db) == rows
        db.verify()
        assert db.get_config("aerostore.checkpoint_compression") == "off"  # lives in memory
        db.checkpoint()
    assert packed.read_bytes()[HEAD] == 1


def test_a_backup_is_packed_too(place):
    """Goal: the setting is about every file of rows that an open database writes."""
    with aerostore.open(place / "s", "shared", "256MiB", memory="private") as db:
        db.set_config("aerostore.checkpoint_compression", "on")
        db["FlightState"].upsert_many(flights())
        rows = stores.contents(db)
        db.backup(place / "b")
    assert (place / "b" / "occ_checkpoint.dat").read_bytes()[HEAD] == 2
    with aerostore.open(place / "b", "shared", "256MiB", memory="private") as db:
        assert stores.contents(db) == rows


def test_without_the_library_a_packed_checkpoint_is_refused_by_name(place, profile):
    """Goal: a clear error that names file and library; nothing is changed; others are read."""
    plain, _ = make(place, profile, "off")
    packed, _ = make(place, profile, "on")
    before = stores.snapshot(packed.parent)
    said = run(place, str(packed.parent), profile)
    assert said.startswith("LayoutMismatch"), said
    assert str(packed) in said and "libzstd.so.1" in said and "nothing was changed" in said
    assert stores.snapshot(packed.parent) == before
    assert run(place, str(plain.parent), profile) == f"{ROWS}\n"


def test_without_the_library_the_setting_is_refused(place):
    """Goal: not found out at the first checkpoint."""
    said = run(place, str(place / "s"), "shared", "aerostore.checkpoint_compression")
    assert said.startswith("UsageError") and "libzstd.so.1" in said, said


@pytest.mark.parametrize("honest", [False, True], ids=["as_it_is", "with_a_right_checksum"])
def test_damaged_blocks_are_refused_or_read_to_the_end(place, honest):
    """Goal: what is packed is believed no more than the rest.

    Method: flip bits, change the lengths, and cut what is packed; then the same with the checksum
    put right, so that the damage comes to the unpacking and behind it.
    """
    packed, rows = make(place, "shared", "on")
    data = packed.read_bytes()
    seed = int(os.environ.get("AE_TEST_SEED", random.randrange(2**32)))
    print(f"AE_TEST_SEED={seed}")
    rng = random.Random(seed)
    places = [each for each in blocks(data) if each[2] == PACKED]
    said: list[str] = []
    for turn in range(60):
        at, length, _ = rng.choice(places)
        spoilt = bytearray(data)
        body = at + HEAD
        if turn % 4 == 0:  # what comes out is said to be this long
            struct.pack_into("<I", spoilt, body + 4, rng.choice((0, 1, 2**31, 2**32 - 1, 20 << 20)))
        elif turn % 4 == 1:
            struct.pack_into("<I", spoilt, body, rng.choice((0, 2, 2**32 - 1)))
        elif turn % 4 == 2:
            spoilt[rng.randrange(body + 8, at + length)] ^= 1 << rng.randrange(8)
        else:
            spoilt[rng.randrange(body + 8, at + length):at + length] = b""
            struct.pack_into("<I", spoilt, at + 8, length - (len(data) - len(spoilt)))
        if honest:
            end = at + struct.unpack_from("<I", spoilt, at + 8)[0]
            struct.pack_into("<I", spoilt, at + 4, stores.crc32c(bytes(spoilt[at + 8:end])))
        packed.write_bytes(spoilt)
        try:
            with aerostore.open(packed.parent, "shared", "256MiB", memory="private") as db:
                found = stores.contents(db)
        except (aerostore.CorruptionError, aerostore.LayoutMismatch) as error:
            said.append(str(error))
        else:
            assert honest and len(found) == len(rows), seed  # a forged row, and no less
    print(len(said), "refused")
    assert all(str(packed) in error for error in said), said
    assert len(said) >= (45 if honest else 60)


@pytest.mark.parametrize("length", [0, (20 << 20) + 1, 2**31, 2**32 - 1])
def test_a_length_is_bounded_before_memory_is_taken(place, length):
    """Goal: no memory for a length that no block has, though its checksum is right."""
    packed, _ = make(place, "shared", "on")
    data = bytearray(packed.read_bytes())
    [at, size, _] = next(each for each in blocks(bytes(data)) if each[2] == PACKED)
    struct.pack_into("<I", data, at + HEAD + 4, length)
    struct.pack_into("<I", data, at + 4, stores.crc32c(bytes(data[at + 8:at + size])))
    packed.write_bytes(data)
    with pytest.raises(aerostore.CorruptionError, match=f"what is packed is {length}, expected"):
        aerostore.open(packed.parent, "shared", "256MiB", memory="private")
