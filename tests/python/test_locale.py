"""A host whose locale has a decimal comma: no text of a number changes."""

import pytest

from support import locales

SCRIPT = """
import io, locale
locale.setlocale(locale.LC_ALL, "")
assert locale.str(1.5) == "1,5", "the locale has no decimal comma"
db = connect()
fs = db["FlightState"]
report = fs.ingest_tsv(b"A\\t1.5\\t-2.25\\t\\t0.1\\t7.25\\nB\\t-0.5\\t1e-3\\t5\\t\\t8\\n")
assert report.inserted == 2
assert (fs["A"].lat, fs["A"].lon, fs["A"].gs, fs["A"].updated_at) == (1.5, -2.25, 0.1, 7.25)
assert fs["B"].lon == 0.001
for clause, keys in (("= lat 1.5", ["A"]), ("> gs 0.05", ["A"]), (">= updated_at 7.5", ["B"]),
                     ("range lat -1.5 0.25", ["B"])):
    assert [row.flight_id for row in fs.search([clause])] == keys, clause
refused(aerostore.TypeMismatch, lambda: fs.search(["= lat 1,5"]).count())
refused(aerostore.Error, lambda: fs.ingest_tsv(b"C\\t1,5\\t2\\t\\t\\t3\\n"))
out = io.BytesIO()
fs.search(sort=["flight_id"], fields=["flight_id", "lat", "gs"]).write_tsv(out)
assert out.getvalue() == b"A\\t1.5\\t0.1\\nB\\t-0.5\\t\\n", out.getvalue()
number = db.checkpoint().number
fs.upsert({"flight_id": "D", "lat": 3.25, "lon": 4.5, "updated_at": 9.5})
db.close()
os.unlink(os.environ["AEROSTORE_SHM_PATH"])
with connect() as db:  # from the checkpoint and the log
    rows = {row.flight_id: (row.lat, row.lon) for row in db["FlightState"].search()}
    assert rows == {"A": (1.5, -2.25), "B": (-0.5, 0.001), "D": (3.25, 4.5)}, rows
print("good")
"""


def test_a_decimal_comma_changes_nothing(script):
    """Goal: TSV, clauses, rows and files are the same in any locale.  Method: a host that sets
    de_DE.UTF-8, as graphical programs do; in and out by each way, and through the files."""
    if not locales.exists():
        pytest.skip("there is no locale with a decimal comma, and none can be made")
    assert script(SCRIPT, LC_ALL=locales.NAME) == "good\n"
