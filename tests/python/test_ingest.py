"""TSV into a table: sources, options, progress, and errors that name the place."""

import gzip
import io
import signal
import threading

import pytest

import aerostore
from support.patience import until

TEXT = b"".join(
    b"F%d\t%d.5\t-7\t%s\t\t1533099600.25\tB738\n" % (i, i % 90, b"" if i % 2 else b"100")
    for i in range(3000))


def test_sources(fs, tmp_path):
    """Goal: every kind of source gives the same rows and report; ingests one text seven ways."""
    path = tmp_path / "positions.tsv"
    path.write_bytes(TEXT)
    with gzip.open(tmp_path / "positions.gz", "wb") as packed:
        packed.write(TEXT)
    wanted = None
    for source in (TEXT, bytearray(TEXT), memoryview(TEXT), path, str(path), path.open("rb"),
                   path.open(encoding="utf-8"), io.BytesIO(TEXT), io.StringIO(TEXT.decode()),
                   gzip.open(tmp_path / "positions.gz")):  # noqa: SIM115 - closed at the loop's end
        fs.clear()
        report = fs.ingest_tsv(source)
        assert (report.rows_seen, report.inserted, report.updated) == (3000, 3000, 0)
        assert report.batches == 3 and report.elapsed > 0
        rows = sorted(fs.search().tuples())
        wanted = wanted or rows
        assert rows == wanted
        if hasattr(source, "close"):
            source.close()
    again = fs.ingest_tsv(TEXT, batch_size=100)
    assert (again.rows_seen, again.inserted, again.updated, again.batches) == (3000, 0, 3000, 30)
    assert fs["F7"].lat == 7.5 and fs["F7"].altitude is None and fs["F8"].altitude == 100


def test_empty_and_odd_texts(fs):
    """Goal: empty input, blank lines, CRLF, a missing last newline and escapes are fine."""
    assert fs.ingest_tsv(b"").rows_seen == 0
    assert fs.ingest_tsv(io.BytesIO()).rows_seen == 0
    report = fs.ingest_tsv(b"\r\nA\t1\t2\t\\N\t\t0\t\tx\\ty\r\n\nB\t1\t2\t3\t4\t5")
    assert report.rows_seen == 2
    assert fs["A"].dest == "x\ty" and fs["A"].altitude is None and fs["B"].gs == 4.0
    strided = memoryview(b"".join(bytes((each, 0)) for each in b"C\t1\t2\t\t\t0\n"))[::2]
    assert fs.ingest_tsv(strided).rows_seen == 1 and "C" in fs


def test_options(fs):
    """Goal: columns, header, separator and null text; one line in another layout."""
    fs.ingest_tsv(b"id;when;where;lat;lon\nX;5;-;1.5;2.5\n", header=True, separator=";", null="-",
                  columns=["ident", "ts", "dest", "lat", "lon"])
    assert dict(fs["X"]) == {"flight_id": "X", "lat": 1.5, "lon": 2.5, "altitude": None, "gs": None,
                             "updated_at": 5.0, "typ": None, "dest": None}
    with pytest.raises(aerostore.UnknownName):
        fs.ingest_tsv(b"", columns=["height"])


@pytest.mark.parametrize("line, column, kind", [
    (b"X\tabc\t2\t\t\t0", 2, aerostore.TypeMismatch),
    (b"X\t1\t2\t3.5\t\t0", 4, aerostore.TypeMismatch),
    (b"X\t1\t2\t\t\tnan", 6, aerostore.TypeMismatch),
    (b"X\tinf\t2\t\t\t0", 2, aerostore.TypeMismatch),
    (b"X\t\t2\t\t\t0", 2, aerostore.NotNullViolation),
    (b"X" * 25 + b"\t1\t2\t\t\t0", 1, aerostore.ValueTooLong),
    (b"\xff\t1\t2\t\t\t0", 1, aerostore.Error),
    (b"X\t1\t2", 6, aerostore.Error),
    (b"X\t1\t2\t\t\t0\ta\tb\tc", 9, aerostore.ParseError),
])
@pytest.mark.parametrize("form", ["bytes", "path", "file"])
def test_bad_lines(fs, tmp_path, line, column, kind, form):
    """Goal: line and column are named and the bad batch leaves nothing; line 2,501 is bad."""
    lines = TEXT.splitlines()
    lines[2500] = line
    text = b"\n".join(lines)
    path = tmp_path / "bad.tsv"
    path.write_bytes(text)
    source = {"bytes": text, "path": path, "file": io.BytesIO(text)}[form]
    with pytest.raises(kind) as caught:
        fs.ingest_tsv(source, batch_size=1000)
    error = caught.value
    assert error.line == 2501 and "2501" in str(error)
    if len(line) > 10:
        assert error.column == column
    assert error.report.batches == 2 and error.report.inserted == 2000
    assert len(fs) == 2000


def test_sources_that_are_none(fs, tmp_path):
    """Goal: wrong sources are refused with a hint; a str of TSV, a number, a missing file."""
    with pytest.raises(aerostore.UsageError, match="bytes"):
        fs.ingest_tsv(TEXT.decode())
    with pytest.raises(aerostore.UsageError, match="int"):
        fs.ingest_tsv(7)
    with pytest.raises(aerostore.StorageError, match=r"missing\.tsv"):
        fs.ingest_tsv(tmp_path / "missing.tsv")
    with pytest.raises(aerostore.Error):
        fs.ingest_tsv(tmp_path)
    with pytest.raises(aerostore.UsageError):
        fs.ingest_tsv("a\0b")
    for batch_size in (0, -1, 2**64, "many"):
        with pytest.raises(aerostore.UsageError):
            fs.ingest_tsv(TEXT, batch_size)


@pytest.mark.parametrize("form", [bytes, io.BytesIO])
def test_progress(fs, form):
    """Goal: progress sees every batch, and what it raises stops the ingest and is not lost."""
    seen = []
    fs.ingest_tsv(form(TEXT), 1000, progress=lambda report, size: seen.append(
        (report.rows_seen, report.batches, size)))
    assert [each[:2] for each in seen] == [(1000, 1), (2000, 2), (3000, 3)]
    assert {each[2] for each in seen} == {len(TEXT) if form is bytes else 0}
    fs.clear()

    class Enough(Exception):
        pass

    def stop(report, size):
        if report.batches == 2:
            raise Enough

    with pytest.raises(Enough):
        fs.ingest_tsv(form(TEXT), 1000, progress=stop)
    assert len(fs) == 2000


def test_callbacks_cannot_disturb_the_ingest(db, fs):
    """Goal: using or closing the session from its own callback is an error, not a crash."""
    calls = (lambda: len(fs), lambda: fs.get("F1"), lambda: list(fs), db.close,
             lambda: db.transaction().__enter__(), lambda: fs.ingest_tsv(b""))
    for call in calls:
        with pytest.raises(aerostore.UsageError, match="ingest"):
            fs.ingest_tsv(TEXT, progress=lambda report, size, call=call: call())
    assert not db.closed
    assert fs.ingest_tsv(TEXT).rows_seen == 3000


def test_other_threads_may_work_meanwhile(fs):
    """Goal: only the ingesting thread's session is busy; a callback asks another thread."""
    counts = []

    def ask(report, size):
        thread = threading.Thread(target=lambda: counts.append(len(fs)))
        thread.start()
        thread.join()

    fs.ingest_tsv(TEXT, 1000, progress=ask)
    assert counts == [1000, 2000, 3000]


def test_interrupt_key_stops_a_long_ingest(fs):
    """Goal: Ctrl-C works during a C call; the signal is sent from inside the first callback."""
    def press(report, size):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fs.ingest_tsv(TEXT, 1000, progress=press)
    assert len(fs) == 1000


@pytest.mark.parametrize("what", ["bytes", "file object", "written"])
def test_interrupt_key_is_not_lost_without_a_callback(fs, what):
    """Goal: a signal that comes while the engine works stops the call, though it is handled before
    the first line of the callback that meets it.  Method: another thread sends it when the call is
    under way."""
    lines = 100_000
    text = b"".join(b"F%d\t1\t2\t\t\t1\n" % number for number in range(lines))
    if what == "written":
        fs.ingest_tsv(text)
    calls = {"bytes": lambda: fs.ingest_tsv(text),
             "file object": lambda: fs.ingest_tsv(io.BytesIO(text)),
             "written": lambda: fs.search().write_tsv(io.BytesIO())}
    session = fs._session()

    def press():
        until(lambda: session.busy, 0)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=press)
    with pytest.raises(KeyboardInterrupt):
        thread.start()
        calls[what]()
    thread.join()
    assert not session.busy
    if what != "written":
        assert len(fs) < lines
    assert fs.upsert({"flight_id": "after", "lat": 1.0, "lon": 2.0, "updated_at": 1})


def test_ingest_in_a_transaction(db, fs):
    """Goal: batches are part of the open transaction; rolls back an ingest."""
    with pytest.raises(ZeroDivisionError), db.transaction():
        fs.ingest_tsv(TEXT, 1000)
        assert len(fs) == 3000
        raise ZeroDivisionError
    assert len(fs) == 0
    with db.transaction():
        fs.ingest_tsv(io.BytesIO(TEXT), 1000)
    assert len(fs) == 3000
