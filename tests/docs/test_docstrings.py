"""The examples in the docstrings of the Python package run, and give what they promise."""

import doctest
import io
import re
import shutil
import statistics

import pytest

import aerostore
from support.paths import ROOT

LINES = (b"UAL123\t37.6\t-122.4\t32000\t451.5\t1533099600\tB739\tKSFO\n"
         b"UAL9\t46.9\t7.4\t31000\t440\t1533099601\tA320\tLSZH\n")
NAMES = ("", "._model", ".database", ".errors", ".files", ".ingest", ".query", ".rows", ".stats",
         ".table", ".transaction", ".ttl", ".watch")


def examples() -> list[doctest.DocTest]:
    """Collect the docstrings that have examples, of everything that is public."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for name in NAMES:
        module = __import__(f"aerostore{name}", fromlist=["_"])
        for test in finder.find(module, f"aerostore{name}"):
            if test.examples:
                found[test.name] = test
    return [found[name] for name in sorted(found)]


@pytest.fixture
def names(store, monkeypatch, aerostore_library):
    """Give an example what its text takes for granted: a folder, two databases, some rows."""
    folder = store.data_dir.parent
    monkeypatch.chdir(folder)
    (folder / "positions.tsv").write_bytes(LINES)
    # The second is closed but for its files: `var/flights` of examples that open it.
    with aerostore.open("var/flights", memory="private") as files:
        files["FlightState"].ingest_tsv(LINES)
        files.set_config("aerostore.keep_log", "on")
        files.checkpoint()
    monkeypatch.setenv("AEROSTORE_SHM_PATH", str(store.shm_path))
    with aerostore.open(store.data_dir, shm_path=store.shm_path.with_suffix(".own")) as db:
        flights = db.table("FlightState")
        flights.ingest_tsv(LINES)
        yield {"aerostore": aerostore, "db": db, "flights": flights, "statistics": statistics,
               "Parameter": aerostore.Parameter}
    shutil.rmtree("var")


@pytest.mark.parametrize("test", [pytest.param(test, id=test.name) for test in examples()])
def test_an_example_runs(test, names, monkeypatch):
    """Goal: examples are true.  Method: type them; no exception, and what they promise."""
    # An example follows a table for ever: here until nothing has come for a while.
    watch = aerostore.Table.watch
    monkeypatch.setattr(aerostore.Table, "watch",
                        lambda *given, **more: watch(*given, **{"timeout": 0.05, **more}))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for example in test.examples:
        said = io.StringIO()
        alone = doctest.DocTest([example], names, test.name, test.filename, test.lineno, "")
        result = runner.run(alone, out=said.write, clear_globs=False)
        # An example that promises nothing may give anything but an exception.
        assert "Exception raised" not in said.getvalue(), said.getvalue()
        assert result.failed == 0 or not example.want, said.getvalue()
        names = alone.globs


def test_examples_are_found():
    """Goal: the test above looks everywhere.  Method: count the prompts in the sources."""
    prompts = sum(len(re.findall(r"^ *>>> ", path.read_text(), re.MULTILINE))
                  for path in (ROOT / "python" / "aerostore").glob("*.py"))
    assert sum(len(test.examples) for test in examples()) == prompts
