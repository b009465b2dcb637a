"""Files that are whole by their checksums and wrong all the same.

Damage that a checksum finds is in test_damage.py.  Here single fields of frames and blocks are
changed and the checksums made anew, as a faulty engine or a hostile hand would leave them: each is
refused with a sentence that names the file, and changes nothing.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aerostore
from durable import stores

HEADER, FILE_HEAD, COMMITS_HEAD = 64, 64, 16
BLOCK, CHECKPOINT_HEAD, END = 48, 88, 24
COMMITS, PIECE = 2, 3
Edit = Callable[[bytearray], None]


class Parts:
    """A log file as frames, or a checkpoint as blocks; each with its checksum at 4."""

    def __init__(self, path: Path, align: int) -> None:
        self.path, self.align, self.parts = path, align, []
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data) and any(data[at:at + 12]):
            length = struct.unpack_from("<I", data, at + 8)[0]
            self.parts.append(bytearray(data[at:at + length]))
            at += -(-length // align) * align

    def save(self) -> None:
        """Seal every part and write the file."""
        data = bytearray()
        for part in self.parts:
            struct.pack_into("<I", part, 8, len(part))
            struct.pack_into("<I", part, 4, stores.crc32c(bytes(part[8:])))
            data += part + bytes(-len(part) % self.align)
        self.path.write_bytes(data)


def put(offset: int, layout: str, *values: int) -> Edit:
    """Make an edit that writes numbers at an offset."""
    return lambda part: struct.pack_into("<" + layout, part, offset, *values)


def add(offset: int, layout: str, amount: int) -> Edit:
    """Make an edit that adds to a number."""
    def edit(part: bytearray) -> None:
        [value] = struct.unpack_from("<" + layout, part, offset)
        struct.pack_into("<" + layout, part, offset, value + amount)

    return edit


def flip(offset: int) -> Edit:
    """Make an edit that turns a byte around."""
    def edit(part: bytearray) -> None:
        part[offset] ^= 0xFF

    return edit


def longer(part: bytearray) -> None:
    """Append eight bytes."""
    part += bytes(8)


def head(offset: int) -> int:
    """Return the place of a field of the checkpoint's head."""
    return BLOCK + offset


def both(*edits: Edit) -> Edit:
    """Make one edit of several."""
    def edit(part: bytearray) -> None:
        for each in edits:
            each(part)

    return edit


CHECKPOINT: dict[str, tuple[int, Edit, str]] = {
    "the head is of another kind": (0, put(12, "I", 2), "first block's kind"),
    "the head has a number": (0, put(40, "I", 1), "first block's kind"),
    "the head is longer": (0, longer, "head's length"),
    "a format to come": (0, put(head(0), "I", 3), "has format 3"),
    "a package without an end": (0, put(head(56), "24B", *[97] * 24), "package's name"),
    "another package": (0, put(head(56), "4B", *b"fool"), "is of package"),
    "records of another stack": (0, put(head(4), "I", 9), "another profile"),
    "another schema": (0, add(head(8), "Q", 1), "was written with schema"),
    "durable further than the log": (0, put(head(32), "Q", 1 << 40), "was durable up to"),
    "replay begins beyond the log": (0, put(head(16), "Q", 1 << 40), "where replay begins"),
    "replay begins before the log": (0, put(head(16), "Q", 8), "no file of the log holds 8"),
    "a block of another store": (1, flip(16), "block's checkpoint"),
    "a block of another checkpoint": (1, add(32, "Q", 1), "block's checkpoint"),
    "a block out of its place": (1, put(40, "I", 7), "block's number"),
    "a block of no kind": (1, put(12, "I", 9), "block's kind"),
    "a packed block where none may be": (1, put(12, "I", 4), "block's kind"),
    "a block of fewer rows": (1, add(44, "I", -1), "rows"),
    "the end is longer": (-1, longer, "end's length"),
    "the end counts other rows": (-1, add(BLOCK, "Q", 1), "number of rows"),
    "the end counts other bytes": (-1, add(BLOCK + 8, "Q", 1), "file's size"),
    "the end counts other blocks": (-1, add(BLOCK + 16, "Q", 1), "number of blocks"),
}
PACKED: dict[str, tuple[bytes, str]] = {
    "nothing in it": (struct.pack("<II", 1, 9), "packed block's length"),
    "an unknown method": (struct.pack("<II", 9, 9) + b"x" * 9, "method"),
    "a length of nothing": (struct.pack("<II", 1, 0) + b"x" * 9, "what is packed"),
    "an enormous length": (struct.pack("<II", 1, 21 << 20) + b"x" * 9, "what is packed"),
    "what does not unpack": (struct.pack("<II", 1, 300 << 10) + b"x" * 9, "does not unpack"),
}
FIRST: dict[str, tuple[Edit, str]] = {
    "of another kind": (put(12, "I", COMMITS), "of another kind"),
    "of a format to come": (put(HEADER, "I", 9), "has format 9"),
    "of another base": (put(HEADER + 24, "Q", 8), "contradict each other"),
    "after what follows": (put(HEADER + 32, "Q", 1 << 50), "contradict each other"),
    "between two places": (both(add(32, "Q", 4), add(HEADER + 24, "Q", 4)), "contradict"),
    "of another stack": (put(HEADER + 4, "I", 9), "another profile"),
    "of another schema": (add(HEADER + 8, "Q", 1), "was written with schema"),
    "of another package": (put(HEADER + 40, "4B", *b"fool"), "is of package"),
}
# The last frame's commits: what stands behind the numbers of the commits before and in it.
COMMIT: dict[str, tuple[bytes, str]] = {
    "without a number": (b"\0", "without a number"),
    "with a cut number": (b"\x80", "without a number"),
    "numbered beyond its frame": (b"\x7e\1x", "without a number"),
    "with pieces that are cut off": (b"\3", "without its pieces"),
    "with a count of pieces that is cut off": (b"\3\x10", "without its pieces"),
    "with no pieces": (b"\3\x10\0\0", "without its pieces"),
    "with too many pieces to count": (b"\3\x10\xff\xff\xff\xff\x7f\0", "without its pieces"),
    "with more pieces than fit a log": (b"\3\x10\xff\xff\x7f\0", "more pieces than"),
    "with a piece between frames": (b"\3\x11\1\0", "is missing"),
    "with a piece beyond the log": (b"\3\xf8\xff\xff\xff\xff\xff\xff\xff\x7f\1\0", "is missing"),
    "without a size": (b"\2", "longer than its frame"),
    "longer than its frame": (b"\2\x7f", "longer than its frame"),
    "of an operation on no table": (b"\2\3\x7c\1x", "a table that is not there"),
    "of a cut operation": (b"\2\1\0", "its length is cut off"),
    "of an operation that is too long": (b"\2\2\0\x7f", "longer than what holds it"),
}


@pytest.fixture
def store(place: Path) -> stores.History:
    """Write a store with a checkpoint and a log after it."""
    return stores.make(place / "s", "embedded")


def file_of(store: stores.History, checkpoint: bool) -> Path:
    """Return the one file of a kind."""
    name = stores.FILES[store.profile][1]
    [log] = set(stores.snapshot(store.directory)) - {name}
    return store.directory / (name if checkpoint else log)


@contextlib.contextmanager
def edited(store: stores.History, checkpoint: bool) -> Iterator[list[bytearray]]:
    """Give the parts of a store's file, and write them as they are then."""
    parts = Parts(file_of(store, checkpoint), 1 if checkpoint else 8)
    yield parts.parts
    parts.save()


def refused(store: stores.History, words: str) -> None:
    """The store does not open, says why, and its files stay as they are."""
    before = stores.snapshot(store.directory)
    with pytest.raises((aerostore.CorruptionError, aerostore.LayoutMismatch)) as caught:
        store.open().close()
    assert words in str(caught.value), caught.value
    assert stores.snapshot(store.directory) == before


@pytest.mark.parametrize("what", CHECKPOINT)
def test_a_checkpoint_that_contradicts_itself_is_refused(store, what):
    """Goal: no field of a checkpoint is believed for its checksum alone."""
    index, edit, words = CHECKPOINT[what]
    with edited(store, True) as parts:
        edit(parts[index])
    refused(store, words)


@pytest.mark.parametrize("what", PACKED)
def test_a_packed_block_is_not_believed(store, what):
    """Goal: neither method nor length of what is packed is taken for granted."""
    payload, words = PACKED[what]
    with edited(store, True) as parts:
        put(head(0), "I", 2)(parts[0])
        put(12, "I", 4)(parts[1])
        parts[1][BLOCK:] = payload
    refused(store, words)


@pytest.mark.parametrize("what", FIRST)
def test_a_first_frame_that_contradicts_itself_is_refused(store, what):
    """Goal: a log file says what it is, and is held to it."""
    edit, words = FIRST[what]
    with edited(store, False) as parts:
        edit(parts[0])
    refused(store, words)


@pytest.mark.parametrize("what", COMMIT)
def test_commits_that_contradict_their_frame_are_refused(store, what):
    """Goal: nothing in a frame is believed for its checksum alone."""
    payload, words = COMMIT[what]
    with edited(store, False) as parts:
        parts[-1][HEADER + COMMITS_HEAD:] = payload
    refused(store, words)


def numbers(edit: Edit) -> Callable[[list[bytearray]], None]:
    """Edit the frame in the middle."""
    return lambda frames: edit(frames[len(frames) // 2])


@pytest.mark.parametrize("edit", [
    add(HEADER, "Q", 1), add(HEADER, "Q", -1), put(HEADER + 8, "Q", 0), add(40, "Q", 8),
    add(32, "Q", 8), put(12, "I", 9)], ids=["after", "before", "upto", "previous", "lsn", "kind"])
def test_a_frame_that_does_not_follow_is_refused(store, edit):
    """Goal: frames are good in their places only.  Later ones tell that it was durable."""
    with edited(store, False) as parts:
        numbers(edit)(parts)
    refused(store, "offset")


def test_a_first_frame_in_the_middle_ends_the_stream(store):
    """Goal: only the first frame of a file begins one; what follows is not read."""
    with edited(store, False) as parts:
        middle = len(parts) // 2
        first = bytearray(parts[0])
        first[32:56] = parts[middle][32:56]
        parts[middle:] = [first]
    with store.open() as db:
        assert stores.contents(db) in store.states[12:-2]


def test_files_with_similar_names_are_left_alone(store):
    """Goal: a log's parts are named by a point and twenty digits, and nothing else is read."""
    for name in ("wal.logs", "wal.log.1", "wal.log." + "1" * 19 + "x", "wal.log." + "1" * 21):
        (store.directory / name).write_bytes(b"not ours")
    with store.open() as db:
        assert stores.contents(db) == store.states[-1]


def spoilt(store: stores.History) -> Iterator[None]:
    """Spoil a store in each way of this file, one after the other."""
    checkpoint, log = file_of(store, True), file_of(store, False)
    whole = {path: path.read_bytes() for path in (checkpoint, log)}
    edits = [(checkpoint, 1, index, edit) for index, edit, _ in CHECKPOINT.values()]
    edits += [(log, 8, 0, edit) for edit, _ in FIRST.values()]
    for payload, _ in COMMIT.values():
        def replace(part: bytearray, payload: bytes = payload) -> None:
            part[HEADER + COMMITS_HEAD:] = payload

        edits.append((log, 8, -1, replace))
    edits += [(log, 8, 4, edit) for edit in (add(HEADER, "Q", 1), put(12, "I", 9))]
    for path, align, index, edit in edits:
        shutil.rmtree(store.directory)
        store.directory.mkdir()
        for name, data in whole.items():
            name.write_bytes(data)
        parts = Parts(path, align)
        edit(parts.parts[index])
        parts.save()
        yield


def test_a_repair_takes_what_is_good(store):
    """Goal: whatever is wrong, a repair leaves a state that was, or says why it cannot."""
    repaired = 0
    for _ in spoilt(store):
        try:
            aerostore.repair(store.directory)
        except aerostore.Error:
            continue
        with store.open() as db:
            assert stores.contents(db) in store.states
        repaired += 1
    assert repaired > 10


def test_a_repair_without_the_log_keeps_the_checkpoint(store):
    """Goal: a checkpoint whose log is gone is refused, and what it has can be had by a repair."""
    file_of(store, False).unlink()
    refused(store, "is missing")
    assert aerostore.repair(store.directory).rows == len(store.states[12])
    with store.open() as db:
        assert stores.contents(db) == store.states[12]


def test_bytes_behind_the_end_of_a_checkpoint_are_refused(store):
    """Goal: nothing follows the end block, whatever size it says the file has."""
    with edited(store, True) as parts:
        add(BLOCK + 8, "Q", 5)(parts[-1])
    path = file_of(store, True)
    path.write_bytes(path.read_bytes() + b"xxxxx")
    refused(store, "file's size")


def test_commits_that_the_checkpoint_has_are_not_made_again(place):
    """Goal: replay begins at a file of the log, and leaves out what the checkpoint's number covers.
    Method: one that says it has the first two commits of its log, and has not."""
    store = stores.History(place / "s", "embedded")
    with store.open() as db:
        db.checkpoint()
        for key in "ABCD":
            db["FlightState"].upsert(stores.row(key, 1))
    with edited(store, True) as parts:
        add(head(24), "Q", 2)(parts[0])
    with store.open() as db:
        assert set(stores.contents(db)) == {"C", "D"}
        db["FlightState"].upsert(stores.row("E", 1))
    with store.open() as db:
        assert set(stores.contents(db)) == {"C", "D", "E"}


def test_a_block_in_the_middle_stops_all_who_load(place):
    """Goal: with several threads, too, what one finds wrong is the answer, and nothing is kept."""
    store = stores.History(place / "s", "embedded")
    with store.open() as db:
        with db.transaction():
            for number in range(60_000):
                db["FlightState"].upsert(stores.row(f"K{number}", number))
        db.checkpoint()
    path = store.directory / "checkpoint.dat"
    data = bytearray(path.read_bytes())
    at = 0
    for _ in range(3):
        at += struct.unpack_from("<I", data, at + 8)[0]
    length = struct.unpack_from("<I", data, at + 8)[0]
    assert len(data) > at + 10 * length
    add(at + 44, "I", -1)(data)
    struct.pack_into("<I", data, at + 4, stores.crc32c(bytes(data[at + 8:at + length])))
    path.write_bytes(data)
    refused(store, "rows, expected")


@pytest.mark.parametrize(("profile", "error"), [
    ("shared", aerostore.CorruptionError), ("logical", aerostore.LayoutMismatch)])
def test_rows_that_do_not_fit_a_unique_index_are_refused(place, market_library, profile, error):
    """Goal: indexes that are made at the end are judged, and the index's table is named."""
    def opened() -> aerostore.Database:
        return aerostore.open(place / "s", profile, memory="private", package="market")

    with opened() as db:
        for number in (1, 2):
            db["Instrument"].upsert({"symbol": f"S{number}", "isin": f"XX000000000{number}"})
    [log] = stores.snapshot(place / "s")
    parts = Parts(place / "s" / log, 8)
    for part in parts.parts:
        part[:] = part.replace(b"XX0000000002", b"XX0000000001")
    parts.save()
    before = stores.snapshot(place / "s")
    with pytest.raises(error, match="does not fit a unique index"):
        opened()
    assert stores.snapshot(place / "s") == before


def test_files_of_two_stores_or_of_one_base_are_refused(store):
    """Goal: a second log file must be of this store, and begin elsewhere."""
    log = file_of(store, False)
    twin = log.with_name(f"wal.log.{7:020}")
    twin.write_bytes(log.read_bytes())
    refused(store, "both hold the log")
    parts = Parts(twin, 8)
    del parts.parts[1:]
    both(flip(16), add(32, "Q", 4096), add(HEADER + 24, "Q", 4096))(parts.parts[0])
    parts.save()
    refused(store, "different stores")


def file_frame(store: stores.History, base: int, after: int, name: int) -> None:
    """Add a log file of one frame, the first."""
    parts = Parts(file_of_log(store), 8)
    del parts.parts[1:]
    first = parts.parts[0]
    put(32, "QQQ", base, base, after)(first)
    put(HEADER + 24, "QQ", base, after)(first)
    parts.path = parts.path.with_name(f"wal.log.{name:020}")
    parts.save()


def file_of_log(store: stores.History) -> Path:
    """Return the log file with the commits."""
    logs = [path for path in store.directory.iterdir() if path.name.startswith("wal.log")]
    return max(logs, key=lambda path: path.stat().st_size)


def test_a_file_that_ends_inside_a_frame_is_refused(store):
    """Goal: a file ends where a frame does, whatever the next one says."""
    [base] = struct.unpack_from("<Q", file_of_log(store).read_bytes(), 32)
    file_frame(store, base + (1 << 20), base + HEADER + FILE_HEAD + 8, 1)
    refused(store, "")


def test_a_log_with_a_gap_between_its_files_is_refused(store):
    """Goal: a file that begins above the end of the one before must say so."""
    data = file_of_log(store).read_bytes()
    [base] = struct.unpack_from("<Q", data, 32)
    end = base + len(data)
    file_frame(store, end + 4096, end, 1)
    file_frame(store, end + 8192, end + 2048, 2)
    refused(store, "not in its place")


def test_pieces_that_do_not_follow_are_refused(place):
    """Goal: a large transaction is whole or refused, whichever field of its pieces is spoilt."""
    store = stores.History(place / "s", "embedded")
    with store.open() as db, db.transaction():
        for number in range(4000):
            db["FlightState"].upsert(stores.row(f"L{number}", number))
    log = file_of_log(store)
    whole = log.read_bytes()
    pieces = [index for index, frame in enumerate(Parts(log, 8).parts)
              if struct.unpack_from("<I", frame, 12)[0] == PIECE]
    assert len(pieces) > 1
    for index, edit, words in [
            (pieces[0], put(HEADER, "Q", 8), "piece 0"),
            (pieces[-1], add(HEADER + 8, "I", 1), "piece"),
            (pieces[-1], put(HEADER, "Q", 1 << 40), "piece"),
            (pieces[-1], put(HEADER, "Q", 128 + 4), "piece")]:
        log.write_bytes(whole)
        parts = Parts(log, 8)
        edit(parts.parts[index])
        parts.save()
        refused(store, words)
    log.write_bytes(whole)
    with store.open() as db:
        assert len(stores.contents(db)) == 4000
