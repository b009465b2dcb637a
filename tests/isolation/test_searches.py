"""Random transactions with searches, unique values and savepoints, replayed in commit order."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import aerostore
from isolation.replay import NEVER, Deed, Rows, Unlike, check

WORKERS = 5
SYMBOLS = [f"S{number}" for number in range(8)]
VALUES: dict[str, list[Any]] = {
    "isin": [None, None, *(f"ISIN0000000{number}" for number in range(6))],
    "sector": [-1, *range(5)],
    "currency": ["EUR", "USD", "CHF"],
}
SECONDS = float(os.environ.get("AEROSTORE_HISTORY_SECONDS", "3"))
ENOUGH = 200_000  # bytes of notes: some hundred transactions
FAR = 4_000_000_000  # seconds: no marker's time to live is ever over


def _clauses(dice: random.Random) -> list[list[Any]]:
    clauses: list[list[Any]] = []
    for _ in range(dice.choice((0, 1, 1, 2))):
        column = dice.choice(tuple(VALUES))
        values = [value for value in VALUES[column] if value is not None]
        kind = dice.choice(("=", "in", "range", "null"))
        if kind == "null":
            clauses.append(["null", "isin"])
        elif kind == "in":
            clauses.append([kind, column, dice.sample(values, 2)])
        elif kind == "range":
            clauses.append([kind, column, *sorted(dice.choices(values, k=2))])
        else:
            clauses.append([kind, column, dice.choice(values)])
    return clauses


def draw(dice: random.Random) -> list[Any]:
    """Draw a step."""
    kind = dice.choice(("get", "find", "find", "count", "upsert", "insert", "update", "delete"))
    if kind == "find":
        return [kind, _clauses(dice), dice.random() < 0.5, dice.choice((None, 1, 3))]
    if kind == "count":
        return [kind, _clauses(dice)]
    symbol = dice.choice(SYMBOLS)
    if kind in ("get", "delete"):
        return [kind, symbol]
    changed = dice.sample(tuple(VALUES), dice.randint(1, 3))
    return [kind, symbol, {column: dice.choice(VALUES[column]) for column in changed}]


def _row(row: aerostore.Row) -> list[Any]:
    return [row["symbol"], row["isin"], row["sector"], row["currency"]]


def do(table: aerostore.Table, step: list[Any]) -> Any:
    """Do a step on the table; return what `replay.act` would."""
    kind, *rest = step
    if kind == "get":
        row = table.get(rest[0])
        return None if row is None else _row(row)[1:]
    if kind == "find":
        clauses, descending, limit = rest
        sort = ["-symbol" if descending else "symbol"]
        found = table.search([tuple(clause) for clause in clauses], sort=sort, limit=limit)
        return [_row(row) for row in found]
    if kind == "count":
        return table.search([tuple(clause) for clause in rest[0]]).count()
    if kind == "delete":
        return table.delete(rest[0])
    symbol, changes = rest
    try:
        if kind == "update":
            return table.update(symbol, **changes)
        if kind == "upsert":
            return table.upsert({"symbol": symbol, **changes})
        table.insert({"symbol": symbol, **changes})
    except aerostore.UniqueViolation:
        return "exists"
    return True


def transact(
    db: aerostore.Database, dice: random.Random, steps: list[tuple[list[Any], Any]]
) -> None:
    """Do some steps, some in blocks that are kept or undone; note each with its result."""
    table = db["Instrument"]
    for _ in range(dice.randint(1, 5)):
        if dice.random() < 0.2:
            undo = dice.random() < 0.6
            steps.append((["mark"], None))
            try:
                with db.transaction():
                    for step in (draw(dice), draw(dice)):
                        steps.append((step, do(table, step)))
                    if undo:
                        raise KeyError
            except KeyError:
                pass
            steps.append((["undo" if undo else "keep"], None))
        else:
            step = draw(dice)
            steps.append((step, do(table, step)))


def work(data_dir: str, shm_path: str, log: str, serial: int, seed: int) -> None:
    """Run random transactions for ever; those that may write leave their name in a row."""
    dice = random.Random(seed)
    db = aerostore.open(data_dir, shm_path=shm_path, size="128MiB", package="market")
    with Path(log).open("a", buffering=1) as out:
        for name in range(serial * 1_000_000, (serial + 1) * 1_000_000):
            steps: list[tuple[list[Any], Any]] = []
            begun = time.monotonic_ns()
            marker = {"trade_id": serial, "symbol": "", "amount": name, "account": 0}
            try:
                with db.transaction():
                    transact(db, dice, steps)
                    db["Trade"].upsert({**marker, "placed_at": FAR})
                    out.write(json.dumps([name, begun, "unknown", steps]) + "\n")
                state = "ok"
            except aerostore.SerializationFailure:
                state = "aborted"
            if state == "aborted":  # perhaps before its first line
                out.write(json.dumps([name, begun, "unknown", steps]) + "\n")
            out.write(json.dumps([name, time.monotonic_ns(), state]) + "\n")


def deeds_of(logs: list[Path]) -> list[Deed]:
    """Read the workers' lines, but for the last ones of the killed, that were cut."""
    deeds: dict[int, Deed] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            try:
                name, moment, state, *steps = json.loads(line)
            except ValueError:
                continue
            if steps:
                pairs = [(step, seen) for step, seen in steps[0]]
                deeds[name] = Deed(name, moment, NEVER, state, pairs)
            else:
                deeds[name].ended, deeds[name].state = moment, state
    return list(deeds.values())


def test_searches_of_killed_and_stopped_processes_are_strictly_serializable(
    market_library: Path, store: Any
) -> None:
    """Goal: searches, unique values and undone blocks see one order.  Method: replay it."""
    seed = int(os.environ.get("AEROSTORE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print("seed", seed)
    dice = random.Random(seed)
    context = multiprocessing.get_context("spawn")
    logs: list[Path] = []

    def start() -> multiprocessing.process.BaseProcess:
        logs.append(store.data_dir.parent / f"log-{len(logs)}")
        logs[-1].touch()
        places = (str(store.data_dir), str(store.shm_path), str(logs[-1]))
        process = context.Process(
            target=work, daemon=True, args=(*places, len(logs), dice.randrange(2**31))
        )
        process.start()
        return process

    with aerostore.open(
        store.data_dir, shm_path=store.shm_path, size="128MiB", package="market"
    ) as db:
        db.set_config("aerostore.synchronous_commit", "off")
        watch = db["Trade"].watch(start="now")
        workers = [start() for _ in range(WORKERS)]
        order: list[int] = []
        give_up = time.monotonic() + 10 * SECONDS + 300
        until: float | None = None  # the time runs when all are at work
        while until is None or time.monotonic() < until or _volume(logs) < ENOUGH:
            assert time.monotonic() < give_up, "the workers do not get on"
            _take(watch, order)
            time.sleep(dice.uniform(0.01, 0.1))
            if until is None:
                if all(log.stat().st_size for log in logs[:WORKERS]):
                    until = time.monotonic() + SECONDS
                continue
            number = dice.randrange(WORKERS)
            pid = workers[number].pid
            assert pid is not None
            if dice.random() < 0.7:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(dice.uniform(0.01, 0.1))
                os.kill(pid, signal.SIGCONT)
            else:
                workers[number].kill()
                workers[number].join()
                workers[number] = start()
        for process in workers:
            process.kill()
            process.join()
        last: Rows = {row["symbol"]: _row(row)[1:] for row in db["Instrument"].search()}
        db["Trade"].upsert(
            {"trade_id": 0, "symbol": "", "amount": -1, "account": 0, "placed_at": FAR}
        )
        while not order or order[-1] != -1:
            assert time.monotonic() < give_up, "the watch does not get on"
            _take(watch, order)
        watch.close()
        committed, others = check(order[:-1], deeds_of(logs), last)
        print("committed", committed, "others", others)
        assert committed > 300
        db.verify()


def test_a_value_found_free_in_a_block_that_was_undone_has_been_read(
    market_library: Path, store: Any
) -> None:
    """Goal: what a write told stays read when it is undone.  Method: another takes the value."""
    with aerostore.open(
        store.data_dir, shm_path=store.shm_path, size="64MiB", package="market"
    ) as db:
        table = db["Instrument"]

        def others(symbol: str, isin: str) -> None:
            thread = threading.Thread(target=table.insert, args=({"symbol": symbol, "isin": isin},))
            thread.start()
            thread.join()

        for isin, fails in (("ISIN00000001", True), ("ISIN00000002", False)):
            with contextlib.ExitStack() as stack:
                if fails:
                    stack.enter_context(pytest.raises(aerostore.SerializationFailure))
                with db.transaction():
                    with contextlib.suppress(KeyError), db.transaction():
                        table.insert({"symbol": "mine", "isin": "ISIN00000001"})
                        raise KeyError
                    others(f"other{isin[-1]}", isin)
                    table.upsert({"symbol": "last"})
            table.clear()


def _volume(logs: list[Path]) -> int:
    return sum(log.stat().st_size for log in logs)


def _take(watch: aerostore.Watch, order: list[int]) -> None:
    while (event := watch.poll()) is not None:
        assert event.kind != "overflow" and event.new is not None
        order.append(event.new["amount"])


# ---- the checker must be able to say no ----------------------------------------------------------

PUT: list[Any] = ["upsert", "S1", {"sector": 1}]
PLANTED: dict[str, tuple[list[int], list[Deed], Rows]] = {
    "phantom": (
        [1, 2],
        [
            Deed(1, 0, 9, "ok", [(PUT, True)]),
            Deed(2, 0, 9, "ok", [(["count", [["=", "sector", 1]]], 0)]),
        ],
        {"S1": [None, 1, "EUR"]},
    ),
    "stale search": (
        [1],
        [
            Deed(1, 0, 1, "ok", [(PUT, True)]),
            Deed(2, 5, 9, "aborted", [(["find", [], False, None], [])]),
        ],
        {"S1": [None, 1, "EUR"]},
    ),
    "value held twice": (
        [1, 2],
        [
            Deed(1, 0, 9, "ok", [(["insert", "S1", {"isin": "X"}], True)]),
            Deed(2, 0, 9, "ok", [(["insert", "S2", {"isin": "X"}], True)]),
        ],
        {"S1": ["X", -1, "EUR"], "S2": ["X", -1, "EUR"]},
    ),
    "undone and there": (
        [1],
        [Deed(1, 0, 9, "ok", [(["mark"], None), (PUT, True), (["undo"], None)])],
        {"S1": [None, 1, "EUR"]},
    ),
    "aborted and there": (
        [1],
        [Deed(1, 0, 9, "aborted", [(PUT, True)])],
        {"S1": [None, 1, "EUR"]},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_replay_finds_planted_anomalies(name: str) -> None:
    """Goal: trust the replay.  Method: histories that are wrong in one known way."""
    with pytest.raises(Unlike):
        check(*PLANTED[name])


def test_the_replay_accepts_a_serial_history() -> None:
    """Goal: it does not cry wolf.  Method: a serial history, and one who looked meanwhile."""
    deeds = [
        Deed(1, 0, 1, "ok", [(PUT, True)]),
        Deed(2, 2, 5, "ok", [(["update", "S1", {"sector": 2}], True)]),
        Deed(3, 3, 9, "aborted", [(["count", [["=", "sector", 1]]], 1)]),
        Deed(4, 3, NEVER, "unknown", [(["count", [["=", "sector", 2]]], 1)]),
    ]
    assert check([1, 2], deeds, {"S1": [None, 2, "EUR"]}) == (2, 2)
