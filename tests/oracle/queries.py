"""Random queries over a model, their meaning in plain Python, and their spelling for both doors.

A query's answer is known up to the order of ties: with the key among the sort columns it is one
list; without, it is checked as a set whose sort keys come in the right order.
"""

from __future__ import annotations

import operator
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oracle.model import Column, Model, Row, Value

Test = Callable[[Value], bool]

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}


@dataclass(frozen=True)
class Clause:
    """One comparison: operator, column, and its constants (of `in`: all members)."""

    op: str
    column: Column
    values: tuple[Value, ...] = ()

    def test(self) -> Test:
        """Return the predicate on a column's value."""
        return predicate(self.op, self.values)

    def for_python(self) -> tuple[object, ...]:
        """Spell it for `Table.search`."""
        values = [seconds(value) if self.column.kind == "time" else value for value in self.values]
        if self.op == "in":
            return (self.op, self.column.name, values)
        return (self.op, self.column.name, *values)

    def for_tcl(self) -> str:
        """Spell it for `-compare`."""
        words = [self.column.text(value) for value in self.values]
        if self.op == "in":
            words = [tcl_list(words)]
        return tcl_list([self.op, self.column.name, *words])


@dataclass(frozen=True)
class Query:
    """A search: clauses that all hold, an order, a window, and the columns to read."""

    clauses: tuple[Clause, ...]
    sort: tuple[str, ...]  # names, descending ones with a leading "-"
    limit: int | None
    offset: int
    fields: tuple[str, ...]

    def matching(self, model: Model) -> list[Row]:
        """Return every row that satisfies the clauses."""
        tests = [(clause.column.name, clause.test()) for clause in self.clauses]
        return [row for row in model.rows.values()
                if all(test(row[name]) for name, test in tests)]

    def total_order(self, model: Model) -> bool:
        """Tell whether the order leaves no ties."""
        return any(name.lstrip("-") == model.key for name in self.sort)

    def window(self, rows: list[Row]) -> list[Row]:
        """Cut offset and limit."""
        end = None if self.limit is None else self.offset + self.limit
        return rows[self.offset:end]

    def for_tcl(self) -> list[str]:
        """Spell it as options of `search`, without the ones that receive the rows."""
        options: list[str] = []
        if len(self.clauses) == 1 and len(self.fields) % 2:
            options += ["-compare", self.clauses[0].for_tcl()]  # the bare form of one clause
        elif self.clauses:
            cut = len(self.clauses) // 2
            for part in filter(None, (self.clauses[:cut], self.clauses[cut:])):
                options += ["-compare", tcl_list([clause.for_tcl() for clause in part])]
        if self.sort:
            options += ["-sort", tcl_list(list(self.sort))]
        if self.limit is not None:
            options += ["-limit", str(self.limit)]
        if self.offset:
            options += ["-offset", str(self.offset)]
        return options


def ordered(rows: list[Row], sort: tuple[str, ...]) -> list[Row]:
    """Sort rows; NULL is last in both directions, text goes by its bytes."""
    for name in reversed(sort):
        column = name.lstrip("-")
        present = [row for row in rows if row[column] is not None]
        present.sort(key=lambda row: sort_key(row[column]), reverse=name.startswith("-"))
        rows = present + [row for row in rows if row[column] is None]
    return rows


def sort_key(value: Value) -> object:
    """Return what orders a value: the bytes of a text, a number itself."""
    return value.encode() if isinstance(value, str) else value


def seconds(value: Value) -> Value:
    """Turn microseconds into the float that Python's door uses."""
    assert isinstance(value, int)
    return value / 1_000_000


# ---- meaning ----------------------------------------------------------------------------------


def predicate(op: str, values: tuple[Value, ...]) -> Test:
    """Return the predicate of an operator; NULL satisfies only `null`."""
    if op == "null":
        return lambda value: value is None
    test = not_null(op, values)
    return lambda value: value is not None and test(value)


def not_null(op: str, values: tuple[Value, ...]) -> Test:
    """Return the predicate of an operator on values that are not NULL."""
    members = frozenset(values)
    if op.removeprefix("not").startswith("match"):
        pattern = glob_pattern(str(values[0]), ignore_case="case" not in op)
        positive = not op.startswith("not")
        fold = fold_case if "case" not in op else str
        return lambda value: bool(pattern.fullmatch(fold(str(value)))) == positive
    tests: dict[str, Test] = {
        "in": lambda value: value in members,
        "notnull": lambda value: True,
        "true": lambda value: value != 0,
        "false": lambda value: value == 0,
    }
    if op in tests:
        return tests[op]
    # UTF-8 keeps the order of code points, so texts compare as Python compares them.
    one: Any = values[0]
    if op == "range":
        end: Any = values[1]
        return lambda value: one <= value < end
    compare = COMPARISONS[op]
    return lambda value: compare(value, one)


def fold_case(text: str) -> str:
    """Lower-case character by character, each to exactly one."""
    return "".join(letter.lower()[0] for letter in text)


def glob_pattern(glob: str, ignore_case: bool) -> re.Pattern[str]:
    """Translate `*`, `?`, `[a-z]` and `\\x` into a regular expression."""
    glob = fold_case(glob) if ignore_case else glob
    out: list[str] = []
    at = 0
    while at < len(glob):
        letter = glob[at]
        at += 1
        if letter == "*":
            out.append(".*")
        elif letter == "?":
            out.append(".")
        elif letter == "[":
            end = glob.index("]", at)
            out.append(f"[{glob[at:end]}]")
            at = end + 1
        elif letter == "\\":
            out.append(re.escape(glob[at]))
            at += 1
        else:
            out.append(re.escape(letter))
    return re.compile("".join(out), re.DOTALL)


# ---- spelling ----------------------------------------------------------------------------------


def tcl_word(text: str) -> str:
    """Quote a word of a Tcl list with backslashes: right for any text."""
    if text == "":
        return "{}"
    quoted = re.sub(r'([\\{}\[\]$"; \t])', r"\\\1", text).replace("\n", "\\n")
    return f"\\{quoted}" if quoted.startswith("#") else quoted


def tcl_list(words: list[str]) -> str:
    """Make a Tcl list; words with spaces and no special letters use braces, as people write."""
    return " ".join(
        f"{{{word}}}" if re.fullmatch(r"[^\\{}]* [^\\{}]*", word) else tcl_word(word)
        for word in words
    )


# ---- chance --------------------------------------------------------------------------------------

GLOBS = ("match", "notmatch", "match_case", "notmatch_case")


class Generator:
    """Makes queries whose constants come from the data, or lie just beside them."""

    def __init__(self, model: Model, seed: int) -> None:
        """Prepare for a model; `seed` decides everything."""
        self.chance = random.Random(seed)
        self.model = model
        self.pool = list(model.rows.values())

    def sample(self, column: Column) -> Value:
        """Take a value of the column from some row, never NULL."""
        for _ in range(50):
            value = self.chance.choice(self.pool)[column.name]
            if value is not None:
                return value
        return {"text": "nothing", "int": 0, "real": 0.0, "time": 0}[column.kind]

    def constant(self, column: Column) -> Value:
        """Take a value of the data, or one that is only near."""
        value = self.sample(column)
        if self.chance.random() < 0.7:
            return value
        if isinstance(value, str):
            return value[: self.chance.randrange(len(value) + 1)] + self.chance.choice("aZ0é ~")
        if isinstance(value, float):
            return round(value + self.chance.uniform(-5, 5), 3) + 0.0
        assert isinstance(value, int)
        return value + self.chance.randint(-2000, 2000)

    def glob(self, column: Column) -> str:
        """Make a pattern that has a fair chance to match."""
        text = str(self.sample(column))
        out: list[str] = []
        for letter in text:
            dice = self.chance.random()
            if dice < 0.12:
                out.append("?")
            elif dice < 0.2 and letter.isascii() and letter.isalnum():
                out.append(f"[{letter}x-z]")
            elif dice < 0.26:
                out.append(self.chance.choice(["*", letter.swapcase()]))
            else:
                out.append(f"\\{letter}" if letter in "*?[]\\" else letter)
        if self.chance.random() < 0.6:
            out = [*out[: self.chance.randint(1, max(1, len(out)))], "*"]
        if self.chance.random() < 0.3:
            out = ["*", *out[self.chance.randrange(len(out)):]]
        return "".join(out)

    def clause(self) -> Clause:
        """Make one clause."""
        column = self.chance.choice(self.model.columns)
        kinds = ["compare"] * 4 + ["in", "range", "null"]
        kinds += ["glob"] * 3 if column.kind == "text" else []
        kinds += ["truth"] if column.kind == "int" else []
        kind = self.chance.choice(kinds)
        if kind == "compare":
            return Clause(self.chance.choice(list(COMPARISONS)), column, (self.constant(column),))
        if kind == "in":
            count = self.chance.choice([1, 2, 5, 30])
            return Clause("in", column, tuple(self.constant(column) for _ in range(count)))
        if kind == "range":
            low, high = self.constant(column), self.constant(column)
            turned = sort_key(high) < sort_key(low)  # type: ignore[operator]
            if turned and self.chance.random() < 0.9:
                low, high = high, low
            return Clause("range", column, (low, high))
        if kind == "null":
            often = ["null", "notnull"] if column.nullable else ["notnull"] * 4 + ["null"]
            return Clause(self.chance.choice(often), column)
        if kind == "truth":
            return Clause(self.chance.choice(["true", "false"]), column)
        return Clause(self.chance.choice(GLOBS), column, (self.glob(column),))

    def query(self) -> Query:
        """Make one query."""
        pick = self.chance
        names = [column.name for column in self.model.columns]
        clauses = tuple(self.clause() for _ in range(pick.choice([0, 1, 1, 1, 2, 2, 3, 4])))
        sort = tuple(pick.choice(["", "-"]) + name for name in pick.sample(names, pick.choice(
            [0, 1, 1, 2, 3])))
        if sort and pick.random() < 0.8 and self.model.key not in {s.lstrip("-") for s in sort}:
            sort = (*sort, pick.choice(["", "-"]) + self.model.key)
        limit = pick.choice([None, None, 0, 1, 5, 50, 1000, 10**12])
        offset = pick.choice([0, 0, 0, 1, 7, 100, 10**12])
        fields = tuple(pick.sample(names, pick.randint(1, len(names))))
        return Query(clauses, sort, limit, offset, fields)
