"""Compare an answer with the oracle's: the right rows, the right number, in the right order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from oracle.model import Model, Row, Value
from oracle.queries import Generator, Query, ordered, tcl_list
from oracle.subjects import Subject, cell_value, describe

ROW_MODES = ("array", "array_with_nulls", "get", "array_get", "array_get_with_nulls", "tabsep",
             "tabsep_nokeys")
# In these modes a NULL arrives as an empty text; in the others it does not arrive at all.
EMPTY_NULL_MODES = ("array_with_nulls", "get", "array_get_with_nulls", "tabsep", "tabsep_nokeys")


def queries(model: Model, count: int, seed: int) -> list[Query]:
    """Make the queries of a test; the seed is printed for whoever must run it again."""
    print(f"seed {seed}")
    generator = Generator(model, seed)
    return [generator.query() for _ in range(count)]


class Expectation:
    """What a query must answer."""

    def __init__(self, model: Model, query: Query) -> None:
        """Work the answer out, once for all doors."""
        self.query = query
        self.matching = query.matching(model)
        self.count = len(query.window(self.matching))
        self.exact = query.total_order(model) or self.count == len(self.matching) == 1
        self.rows = query.window(ordered(self.matching, query.sort))

    def check(self, answer: Sequence[tuple[Value, ...]], fields: Sequence[str]) -> None:
        """Assert that rows, given by some of the columns, are a right answer."""
        assert len(answer) == self.count, self.query
        wanted = [describe(row, fields) for row in self.rows]
        if self.exact:
            assert list(answer) == wanted, self.query
            return
        # Ties may come in any order, so a window may hold any of them: what is there must be among
        # the matching rows, and the sort columns must read as in the oracle's order.
        allowed = Counter(describe(row, fields) for row in self.matching)
        assert not Counter(answer) - allowed, self.query
        names = [name.lstrip("-") for name in self.query.sort]
        if names and set(names) <= set(fields):
            at = [list(fields).index(name) for name in names]
            assert [tuple(row[i] for i in at) for row in answer] == [
                describe(row, names) for row in self.rows], self.query


def request_of(query: Query, key: str, chance: random.Random) -> list[str]:
    """Choose how Tcl asks for a query's rows: a mode of the driver, fields, options."""
    mode = chance.choice([*ROW_MODES, "key", "count"])
    fields = [key] if mode == "key" else list(query.fields)
    return [mode, " ".join(fields), tcl_options(query)]


def tcl_options(query: Query) -> str:
    """Spell the options of a query as one word of a request."""
    return tcl_list(query.for_tcl())


def check_tcl(subject: Subject, expected: Expectation, request: Sequence[str],
              answer: Sequence[str]) -> None:
    """Assert that tclsh answered right."""
    mode, names, _ = request
    *lines, result = answer
    assert result == str(expected.count), (expected.query, request, result)
    if mode == "count":
        assert not lines
        return
    fields = tabsep_fields(subject.model, names.split(" "), mode)
    columns = [subject.model.column(name) for name in fields]
    rows: list[tuple[Value, ...]] = []
    for line in lines:
        cells = line.split("\t")
        assert len(cells) == len(columns), (line, request)
        if mode in EMPTY_NULL_MODES:
            rows.append(tuple(column.read(cell) for column, cell in zip(columns, cells,
                                                                         strict=True)))
        else:
            rows.append(tuple(cell_value(column, cell) for column, cell in zip(columns, cells,
                                                                               strict=True)))
    expected.check(rows, fields)


def tabsep_fields(model: Model, fields: list[str], mode: str) -> list[str]:
    """Return the columns of a line: -write_tabsep puts the key in front unless it is asked for."""
    return [model.key, *fields] if mode == "tabsep" and model.key not in fields else fields


def sample_keys(model: Model, count: int, seed: int) -> list[str]:
    """Choose keys that exist, and some that do not."""
    chance = random.Random(seed)
    present = sorted(model.rows)
    chosen = present if len(present) <= count else chance.sample(present, count)
    return [*chosen, "", "nobody", chosen[0] + "x", chosen[0][:-1], chosen[0].swapcase()]


def row_values(subject: Subject, row: Row | None) -> list[str]:
    """Return the texts Tcl must show for a row, empty for a missing row's columns."""
    if row is None:
        return []
    return [column.text(row[column.name]) for column in subject.model.columns]
