"""Bounds and defaults that the pages tell are those of the sources."""

import inspect
import re

import aerostore
from aerostore import schema
from aerostore_codegen import lower, lower_table
from support.paths import ENGINE, ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SCHEMA = re.sub(r"(?ms)^```.*?^```$", "", (ROOT / "docs" / "schema.md").read_text("utf-8"))
# What stands between backticks there.
WORDS = " ".join(re.findall(r"`([^`]+)`", SCHEMA))
UNITS = {"": 1, "MiB": 1 << 20, "GiB": 1 << 30}
# Which bound of the engine a row of the table of limits is about.
BOUNDS = {
    "segment": "AE_SEGMENT_MAX",
    "open transactions and searches": "AE_SLOTS",
    "attached sessions": "AE_MEMBERS",
    "watches": "AE_FEEDS",
    "savepoints of a transaction": "AE_SAVEPOINTS_MAX",
    "writes of a transaction": "AE_WRITES_MAX",
    "bytes of a text": "AE_TEXT_BYTES_MAX",
    "bytes of a row's texts together": "AE_OVERFLOW_MAX",
    "bytes of a TSV line": "AE_INGEST_LINE_MAX",
    "rows of an ingest's batch": "AE_INGEST_BATCH_MAX",
    "clauses of a search": "AEI_CLAUSES_MAX",
    "values of a search": "AEI_VALUES_MAX",
    "columns to sort by": "AEI_SORTS_MAX",
    "commits of a store": "AE_COMMITS_MAX",
}


def bound(name: str) -> int:
    """Return a bound of the engine, from the headers that hold them."""
    for header in ("base/limits.h", "query/limits.h"):
        found = re.search(rf"^#define {name} (.+)$", (ENGINE / header).read_text(), re.MULTILINE)
        if found:
            return int(eval(re.sub(r"\(\w+_t\)|(?<=\d)u\b", "", found[1])))
    raise KeyError(name)


def number(text: str) -> int:
    """Read a number as the pages write it."""
    if power := re.match(r"2\^(\d+)", text):
        return 1 << int(power[1])
    found = re.match(r"([\d,]+)(?: (MiB|GiB))?", text)
    assert found, text
    return int(found[1].replace(",", "")) * UNITS[found[2] or ""]


def test_the_limits_are_the_engines():
    """Goal: who plans can rely on the table.  Method: each row against the header that has it."""
    part = OPERATIONS[OPERATIONS.index("## Limits"):]
    rows = re.findall(r"^\| ([^|]+?) \| (\S[^|]*?) \| `", part, re.MULTILINE)
    told = {what.partition(":")[0].partition(",")[0]: number(most) for what, most in rows}
    assert told == {what: bound(name) for what, name in BOUNDS.items()}


def test_the_sizes_of_a_new_segment_are_told():
    """Goal: defaults of all doors are right.  Method: Python's signature, the engine's header."""
    assert inspect.signature(aerostore.open).parameters["size"].default == "4GiB"
    assert bound("AE_SEGMENT_DEFAULT") == 1 << 30
    assert bound("AE_SEGMENT_MIN") == 4 << 20
    words = " ".join(OPERATIONS.split())
    assert "4 GiB from Python and the command line, 1 GiB from Tcl and C" in words
    assert "at least 4 MiB" in words


def test_each_word_of_a_declaration_is_told():
    """Goal: the reference is complete.  Method: each public name stands in code style."""
    written = set(schema.__all__) - {"IndexDeclaration"}  # what index() gives
    missing = [name for name in sorted(written) if not re.search(rf"\b{name}\b", WORDS)]
    assert not missing, missing


def test_each_option_of_a_declaration_is_told():
    """Goal: the same for options.  Method: the signatures that type checkers see, by their text."""
    source = inspect.getsource(schema)
    source = source[source.index("if TYPE_CHECKING"):source.index("\nelse:")]
    options = set(re.findall(r"^        (\w+): ", source, re.MULTILINE)) - {"args", "options"}
    assert {"key", "notnull", "ttl_column", "doc"} <= options
    told = set(re.findall(r"\b(\w+)=", WORDS))
    assert options - told == set()


def test_the_bounds_of_a_declaration_are_told():
    """Goal: numbers of the reference are right.  Method: each bound of the compiler is there."""
    bounds = [lower.TABLES_MAX, lower_table.COLUMNS_MAX, lower_table.INDEXES_MAX,
              lower_table.INDEX_COLUMNS_MAX, lower_table.ALIASES_MAX, lower_table.TEXT_MAX,
              lower_table.TEXT_DEFAULT, lower_table.KEY_DEFAULT, lower_table.FIXED_MAX]
    missing = [each for each in bounds if not re.search(rf"(?<![\d,]){each:,}(?![\d,])", SCHEMA)]
    assert not missing, missing
