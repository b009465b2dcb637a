"""Random operations against a plain dict: whatever happens, table and model agree.

Strategy: a hypothesis state machine writes, reads, searches, sorts, rolls back and reloads rows of
the table with every kind of column, and keeps the same rows in a dict.  Failures print the seed and
the shortest story hypothesis finds.
"""

import fnmatch
import io
import ipaddress
import math
import random
import re

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import aerostore

INTEGERS = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "level": 32}
NATURALS = {"u8": 8, "u16": 16, "u32": 32, "u64": 64}
NOT_NULL = {"note": "none", "level": 7}
KEYS = ["a", "b", "A", "key with spaces", "z" * 12, "z" * 13, "é" * 150, "tab\tand\nline", "\\N"]


def near_edges(low, high):
    return st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, 1, min(high, 7)]),
                     st.integers(0, 5))


def real(width):
    return st.floats(width=width, allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
plain = st.text("abAB1", max_size=6)
VALUES = {
    "flag": st.booleans(),
    **{name: near_edges(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
       for name, bits in INTEGERS.items()},
    **{name: near_edges(0, 2**bits - 1) for name, bits in NATURALS.items()},
    "f32": real(32),
    "f64": real(64),
    "seen": st.integers(-(10**15), 4 * 10**15).map(lambda us: us / 1e6),
    "letter": st.characters(exclude_categories=("Cs",), exclude_characters="\0"),
    "code": st.text("abYZ", max_size=4),
    "body": text,
    "blob": st.binary(max_size=40),
    "addr": st.ip_addresses(v=4).map(str),
    "six": st.integers(2**112, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n))),
    "hw": st.binary(min_size=6, max_size=6).map(lambda b: b.hex(":")),
    "note": plain,
}
COLUMNS = list(VALUES)
ORDER = {
    "addr": ipaddress.ip_address,
    "six": ipaddress.ip_address,
    "body": str.encode,
    "note": str.encode,
    "code": str.encode,
}


def value_for(column):
    return VALUES[column] if column in NOT_NULL else st.none() | VALUES[column]


changes = st.lists(st.sampled_from(COLUMNS), max_size=6, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: value_for(name) for name in names}))
keys = st.sampled_from(KEYS)


def order_of(column, value):
    return ORDER.get(column, lambda same: same)(value)


def compare_clauses(column):
    some = VALUES[column]
    return st.one_of(
        st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), st.just(column), some),
        st.tuples(st.just("range"), st.just(column), some, some),
        st.tuples(st.just("in"), st.just(column), st.lists(some, max_size=4)),
        st.tuples(st.sampled_from(["null", "notnull"]), st.just(column)),
    )


clauses = st.lists(st.one_of(
    st.sampled_from(COLUMNS).flatmap(compare_clauses),
    st.tuples(st.sampled_from(["match", "notmatch", "match_case", "notmatch_case"]),
              st.just("note"), st.text("aB1*?", max_size=5)),
    st.tuples(st.sampled_from(["true", "false"]), st.just("flag")),
    st.tuples(st.sampled_from(["=", "in"]), st.just("name"), st.lists(keys, max_size=3)).map(
        lambda c: (c[0], c[1], c[2]) if c[0] == "in" else ("=", "name", (c[2] or ["a"])[0])),
), max_size=3)


def matches(row, clause):
    """Say what a clause means, as plainly as can be."""
    word, column, *constants = clause
    value = row[column]
    if word in ("null", "notnull"):
        return (value is None) == (word == "null")
    if value is None:
        return False
    if word in ("true", "false"):
        return value == (word == "true")
    if "match" in word:
        pattern, subject = constants[0], value
        if not word.endswith("_case"):
            pattern, subject = pattern.lower(), subject.lower()
        hit = re.fullmatch(fnmatch.translate(pattern), subject) is not None
        return hit != word.startswith("not")
    mine = order_of(column, value)
    if word == "in":
        return any(mine == order_of(column, each) for each in constants[0])
    low = order_of(column, constants[0])
    if word == "range":
        return low <= mine < order_of(column, constants[1])
    return {"=": mine == low, "!=": mine != low, "<": mine < low, "<=": mine <= low,
            ">": mine > low, ">=": mine >= low}[word]


def sorted_rows(rows, sort):
    """Sort by the last column first; sorts are stable, also in reverse, and None comes last."""
    for column, descending in reversed(sort):
        present = sorted((row for row in rows if row[column] is not None),
                         key=lambda row, c=column: order_of(c, row[c]), reverse=descending)
        rows = present + [row for row in rows if row[column] is None]
    return rows


def machine(database):
    table = database["Everything"]

    class TableMachine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            table.clear()
            self.rows = {}
            self.open = []  # (block, rows to go back to) of each open transaction

        def teardown(self):
            while self.open:
                self.leave(commit=False)

        def fresh(self, key, given):
            nothing = dict.fromkeys(COLUMNS)
            return {"name": key, **nothing, **NOT_NULL, **given}

        @rule(key=keys, given=changes)
        def upsert(self, key, given):
            is_new = table.upsert({"name": key, **given})
            assert is_new == (key not in self.rows)
            self.rows[key] = {**self.rows.get(key, self.fresh(key, {})), **given}

        @rule(key=keys, given=changes)
        def replace(self, key, given):
            assert table.replace({"name": key, **given}) == (key not in self.rows)
            self.rows[key] = self.fresh(key, given)

        @rule(key=keys, given=changes)
        def insert(self, key, given):
            if key in self.rows:
                with pytest.raises(aerostore.UniqueViolation):
                    table.insert({"name": key, **given})
            else:
                table.insert({"name": key, **given})
                self.rows[key] = self.fresh(key, given)

        @rule(key=keys, given=changes)
        def update(self, key, given):
            assert table.update(key, **given) == (key in self.rows)
            if key in self.rows:
                self.rows[key] = {**self.rows[key], **given}

        @rule(key=keys)
        def delete(self, key):
            assert table.delete(key) == (key in self.rows)
            self.rows.pop(key, None)

        @rule(key=keys, column=st.sampled_from([*INTEGERS, *NATURALS]), by=st.integers(-300, 300))
        def incr(self, key, column, by):
            if key not in self.rows:
                assert table.incr(key, column, by) is None
                return
            total = (self.rows[key][column] or 0) + by
            bits = INTEGERS.get(column) or NATURALS[column]
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if column in INTEGERS else (
                0, 2**bits)
            if low <= total < high:
                assert table.incr(key, column, by) == total
                self.rows[key] = {**self.rows[key], column: total}
            else:
                with pytest.raises(aerostore.TypeMismatch):
                    table.incr(key, column, by)

        @rule(batch=st.lists(st.tuples(keys, changes), max_size=8), size=st.integers(1, 4))
        def upsert_many(self, batch, size):
            table.upsert_many(({"name": key, **given} for key, given in batch), batch_size=size)
            for key, given in batch:
                self.rows[key] = {**self.rows.get(key, self.fresh(key, {})), **given}

        @rule(key=keys, column=st.sampled_from(sorted(INTEGERS)), wrong=st.sampled_from(
            ["abc", 2**64, 1.5, object(), "\ud800", math.nan]))
        def refuse(self, key, column, wrong):
            with pytest.raises(aerostore.TypeMismatch):
                table.upsert({"name": key, column: wrong})

        @rule()
        def export_and_import(self):
            out = io.BytesIO()
            assert table.search().write_tsv(out) == len(self.rows)
            table.clear()
            assert table.ingest_tsv(out.getvalue()).rows_seen == len(self.rows)

        @rule(isolation=st.sampled_from(["serializable", "snapshot"]))
        def begin(self, isolation):
            if len(self.open) < 4:
                block = database.transaction(isolation)
                block.__enter__()
                self.open.append((block, dict(self.rows)))

        @rule(commit=st.booleans())
        def leave(self, commit):
            if self.open:
                block, before = self.open.pop()
                if commit:
                    block.__exit__(None, None, None)
                else:
                    block.__exit__(KeyError, KeyError(), None)
                    self.rows = before

        @rule(key=keys)
        def get(self, key):
            row = table.get(key)
            assert (row is not None) == (key in table) == (key in self.rows)
            if row is not None:
                assert dict(row) == self.rows[key]

        @rule(where=clauses, fields=st.lists(st.sampled_from(COLUMNS), unique=True),
              sort=st.lists(st.tuples(st.sampled_from(COLUMNS), st.booleans()), max_size=3,
                            unique_by=lambda each: each[0]),
              limit=st.none() | st.integers(0, 6), offset=st.integers(0, 4))
        def search(self, where, fields, sort, limit, offset):
            sort = [*sort, ("name", False)]
            found = sorted_rows([row for row in self.rows.values()
                                 if all(matches(row, clause) for clause in where)], sort)
            wanted = found[offset:][:limit]
            result = table.search(where, sort=[("-" if down else "") + name for name, down in sort],
                                  limit=limit, offset=offset, fields=["name", *fields])
            assert [dict(row) for row in result] == [
                {name: row[name] for name in ["name", *fields]} for row in wanted]
            assert result.count() == len(wanted)
            first = result.first()
            assert (first.name if first else None) == (wanted[0]["name"] if wanted else None)

        @invariant()
        def same_rows(self):
            assert len(table) == len(self.rows)
            assert {row.name: dict(row) for row in table} == self.rows

    return TableMachine


def test_table_and_dict_agree(kinds):
    """Goal: no sequence of operations tells the table from a dict; 60 random stories."""
    number = random.randrange(2**32)
    print(f"seed {number}")
    story = seed(number)(machine(kinds))
    run_state_machine_as_test(story, settings=settings(
        max_examples=60, stateful_step_count=30, deadline=None, database=None,
        suppress_health_check=list(HealthCheck)))
    kinds.verify()
