"""Random histories of killed and stopped processes, checked for strict serializability."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import aerostore
from isolation.histories import Anomaly, Done, Registers, check, check_registers

WORKERS = 8
KEYS = 6
SECONDS = float(os.environ.get("AEROSTORE_HISTORY_SECONDS", "6"))
ENOUGH = 300_000  # bytes of notes: some thousand transactions
NEVER = sys.maxsize


def _row(key: str, values: list[int]) -> dict[str, object]:
    text = ",".join(map(str, values))
    return {"flight_id": key, "lat": 0, "lon": 0, "updated_at": 0, "typ": text}


def _read(table: aerostore.Table, key: str) -> list[int]:
    row = table.get(key)
    return [] if row is None or not row["typ"] else [int(part) for part in row["typ"].split(",")]


def append_lists(table: aerostore.Table, db: aerostore.Database, log: Log, dice: Dice) -> None:
    """Append to lists and read them, in one transaction; note it before and after."""
    steps = dice.steps(("append", "read"))
    name = log.begin(steps)
    reads: list[tuple[str, list[int]]] = []
    try:
        with db.transaction():
            for kind, key, value in steps:
                values = _read(table, key)
                reads.append((key, list(values)))
                if kind == "append":
                    values.append(value)
                    table.upsert(_row(key, values))
        state = "ok"
    except aerostore.SerializationFailure:
        state = "aborted"
    log.note(end=name, state=state, reads=reads)


def set_registers(table: aerostore.Table, db: aerostore.Database, log: Log, dice: Dice) -> None:
    """Read registers and set some of what was read; note it also before the commit."""
    steps = dice.steps(("set", "read"))
    name = log.begin(())
    done: list[tuple[str, str, int]] = []
    try:
        with db.transaction():
            for kind, key, value in steps:
                row = table.get(key)
                done.append(("r", key, 0 if row is None else row["altitude"]))
                if kind == "set":
                    table.upsert({**_row(key, []), "altitude": value})
                    done.append(("w", key, value))
            log.note(middle=name, steps=done)
        state = "ok"
    except aerostore.SerializationFailure:
        state = "aborted"
    log.note(end=name, state=state)


BODIES = {"lists": append_lists, "registers": set_registers}


class Dice:
    """Random steps over keys that are new every second, so that lists stay short."""

    def __init__(self, serial: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.value = serial * 1_000_000

    def steps(self, kinds: tuple[str, str]) -> list[tuple[str, str, int]]:
        """Draw the steps of a transaction: kind, key, and a value that nobody else uses."""
        epoch = time.monotonic_ns() // 1_000_000_000
        chosen = []
        for _ in range(self.random.randint(1, 4)):
            key = f"{epoch}-{self.random.randrange(KEYS)}"
            self.value += 1
            chosen.append((self.random.choice(kinds), key, self.value))
        return chosen


class Log:
    """What a worker says about its transactions, line by line, so that a kill loses one at most."""

    def __init__(self, path: str, number: int) -> None:
        self.out = Path(path).open("a", buffering=1)  # noqa: SIM115 - until the process dies
        self.number = number
        self.count = 0

    def note(self, **what: object) -> None:
        """Write one line, with the time."""
        self.out.write(json.dumps({"at": time.monotonic_ns(), **what}) + "\n")

    def begin(self, steps: Sequence[object]) -> str:
        """Note that a transaction begins; return its name."""
        self.count += 1
        name = f"{self.number}.{os.getpid()}.{self.count}"
        self.note(begin=name, steps=steps)
        return name


def work(kind: str, data_dir: str, shm_path: str, log: str, serial: int, seed: int) -> None:
    """Run random transactions for ever; no two workers, dead or alive, have the same serial."""
    dice, notes, body = Dice(serial, seed), Log(log, serial), BODIES[kind]
    db = aerostore.open(data_dir, shm_path=shm_path, size="256MiB")
    table = db["FlightState"]
    while True:
        body(table, db, notes, dice)


def volume(logs: list[Path]) -> int:
    """Return how much the workers have written."""
    return sum(log.stat().st_size for log in logs)


def notes(logs: list[Path]) -> Iterator[dict[str, Any]]:
    """Read the workers' lines, but for the last ones of the killed, that were cut."""
    for log in logs:
        for line in log.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def collect_lists(logs: list[Path], table: aerostore.Table) -> list[Done]:
    """Give the history; a begin without an end was killed.  At its end stands a read of all."""
    history: dict[str, Done] = {}
    for note in notes(logs):
        if "begin" in note:
            done = Done(note["begin"], note["at"], NEVER, "unknown")
            done.appends = [(k, v) for kind, k, v in note["steps"] if kind == "append"]
            history[done.name] = done
        else:
            done = history[note["end"]]
            done.ended, done.state = note["at"], note["state"]
            done.reads = [(key, tuple(values)) for key, values in note["reads"]]
    now = time.monotonic_ns()
    final = Done("final", now, now + 1, "ok")
    for row in table.search([], fields=["flight_id", "typ"]):
        final.reads.append((row["flight_id"], tuple(int(part) for part in row["typ"].split(","))))
    return [*history.values(), final]


def collect_registers(logs: list[Path], table: aerostore.Table) -> list[Registers]:
    """Give the history; one killed before its last step was noted cannot have committed."""
    history: dict[str, Registers] = {}
    for note in notes(logs):
        if "begin" in note:
            history[note["begin"]] = Registers(note["begin"], note["at"], NEVER, "aborted")
        elif "middle" in note:
            one = history[note["middle"]]
            one.state, one.steps = "unknown", [(kind, k, v) for kind, k, v in note["steps"]]
        else:
            one = history[note["end"]]
            one.ended, one.state = note["at"], note["state"]
    now = time.monotonic_ns()
    final = Registers("final", now, now + 1, "ok")
    for row in table.search([], fields=["flight_id", "altitude"]):
        final.steps.append(("r", row["flight_id"], row["altitude"]))
    return [*history.values(), final]


@pytest.mark.parametrize("kind", BODIES)
def test_random_histories_with_kills_and_stops_are_strictly_serializable(
    aerostore_library: Path, store, kind: str
) -> None:
    """Goal: no anomaly whoever dies or stops.  Method: 8 processes, lists or registers, cycles."""
    seed = int(os.environ.get("AEROSTORE_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print("seed", seed)
    dice = random.Random(seed)
    context = multiprocessing.get_context("spawn")
    logs: list[Path] = []

    def start(number: int) -> multiprocessing.process.BaseProcess:
        log = store.data_dir.parent / f"log-{number}-{len(logs)}"
        log.touch()
        logs.append(log)
        process = context.Process(
            target=work,
            daemon=True,
            args=(
                kind,
                str(store.data_dir),
                str(store.shm_path),
                str(log),
                len(logs),
                dice.randrange(2**31),
            ),
        )
        process.start()
        return process

    give_up = time.monotonic() + 10 * SECONDS + 300
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="256MiB") as db:
        workers = [start(number) for number in range(WORKERS)]
        own = dict(enumerate(logs))
        until: float | None = None  # the time runs when all are at work
        kills = 0
        while until is None or time.monotonic() < until or volume(logs) < ENOUGH:
            time.sleep(dice.uniform(0.02, 0.2))
            assert time.monotonic() < give_up, "the workers do not get on"
            working = [number for number in own if own[number].stat().st_size > 0]
            if until is None and len(working) == WORKERS:
                until = time.monotonic() + SECONDS
            if until is None or not working:
                continue
            number = dice.choice(working)
            pid = workers[number].pid
            assert pid is not None
            if dice.random() < 0.5:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(dice.uniform(0.01, 0.1))
                os.kill(pid, signal.SIGCONT)
            else:
                os.kill(pid, signal.SIGKILL)
                workers[number].join()
                workers[number] = start(number)
                own[number] = logs[-1]
                kills += 1
        for process in workers:
            process.kill()
            process.join()
        table = db["FlightState"]
        if kind == "lists":
            committed = check(collect_lists(logs, table))
        else:
            committed = check_registers(collect_registers(logs, table))
        print("kills", kills, "committed", committed)
        assert committed > 100
        db.verify()


# ---- the checker must be able to say no ----------------------------------------------------------


def _done(name: str, begun: int, ended: int, reads: object = (), appends: object = ()) -> Done:
    return Done(name, begun, ended, "ok", list(reads), list(appends))  # type: ignore[call-overload]


PLANTED = {
    "lost update": [
        _done("a", 0, 9, [("x", ())], [("x", 1)]),
        _done("b", 0, 9, [("x", ())], [("x", 2)]),
        _done("final", 20, 21, [("x", (2,))]),
    ],
    "write skew": [
        _done("a", 0, 9, [("x", ())], [("y", 1)]),
        _done("b", 0, 9, [("y", ())], [("x", 2)]),
        _done("final", 20, 21, [("x", (2,)), ("y", (1,))]),
    ],
    "read skew": [
        _done("a", 0, 9, [], [("x", 1), ("y", 2)]),
        _done("b", 0, 9, [("x", (1,)), ("y", ())]),
        _done("final", 20, 21, [("x", (1,)), ("y", (2,))]),
    ],
    "stale read": [
        _done("a", 0, 1, [], [("x", 1)]),
        _done("b", 5, 9, [("x", ())]),
        _done("final", 20, 21, [("x", (1,))]),
    ],
    "torn commit": [
        Done("a", 0, NEVER, "unknown", [], [("x", 1), ("y", 2)]),
        _done("final", 20, 21, [("x", (1,)), ("y", ())]),
    ],
    "forked order": [
        _done("a", 0, 9, [], [("x", 1)]),
        _done("b", 0, 9, [], [("x", 2)]),
        _done("c", 0, 9, [("x", (1, 2))]),
        _done("d", 0, 9, [("x", (2, 1))]),
    ],
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_checker_finds_planted_anomalies(name: str) -> None:
    """Goal: trust the checker.  Method: histories that are wrong in one known way."""
    with pytest.raises(Anomaly):
        check(PLANTED[name])


def test_the_checker_accepts_a_serial_history() -> None:
    """Goal: it does not cry wolf.  Method: a history made by running one after the other."""
    assert (
        check(
            [
                _done("a", 0, 1, [("x", ())], [("x", 1)]),
                _done("b", 2, 3, [("x", (1,))], [("x", 2), ("y", 3)]),
                _done("final", 4, 5, [("x", (1, 2)), ("y", (3,))]),
            ]
        )
        == 3
    )


def _registers(name: str, begun: int, ended: int, *steps: tuple[str, str, int]) -> Registers:
    return Registers(name, begun, ended, "ok", list(steps))


PLANTED_IN_REGISTERS = {
    "lost update": [
        _registers("a", 0, 9, ("r", "x", 0), ("w", "x", 1)),
        _registers("b", 0, 9, ("r", "x", 0), ("w", "x", 2)),
        _registers("final", 20, 21, ("r", "x", 2)),
    ],
    "write skew": [
        _registers("a", 0, 9, ("r", "x", 0), ("r", "y", 0), ("w", "y", 1)),
        _registers("b", 0, 9, ("r", "y", 0), ("r", "x", 0), ("w", "x", 2)),
        _registers("final", 20, 21, ("r", "x", 2), ("r", "y", 1)),
    ],
    "read skew": [
        _registers("a", 0, 9, ("r", "x", 0), ("w", "x", 1), ("r", "y", 0), ("w", "y", 2)),
        _registers("b", 0, 9, ("r", "x", 1), ("r", "y", 0)),
        _registers("final", 20, 21, ("r", "x", 1), ("r", "y", 2)),
    ],
    "stale read": [
        _registers("a", 0, 1, ("r", "x", 0), ("w", "x", 1)),
        _registers("b", 5, 9, ("r", "x", 0)),
        _registers("final", 20, 21, ("r", "x", 1)),
    ],
    "intermediate read": [
        _registers("a", 0, 9, ("r", "x", 0), ("w", "x", 1), ("w", "x", 2)),
        _registers("b", 0, 9, ("r", "x", 1)),
        _registers("final", 20, 21, ("r", "x", 2)),
    ],
    "fuzzy read": [
        _registers("a", 0, 9, ("r", "x", 0), ("w", "x", 1)),
        _registers("b", 0, 9, ("r", "x", 0), ("r", "x", 1)),
        _registers("final", 20, 21, ("r", "x", 1)),
    ],
    "read of the aborted": [
        Registers("a", 0, 9, "aborted", [("r", "x", 0), ("w", "x", 1)]),
        _registers("b", 0, 9, ("r", "x", 1)),
        _registers("final", 20, 21, ("r", "x", 0)),
    ],
    "torn commit of the killed": [
        Registers("a", 0, NEVER, "unknown", [("r", "x", 0), ("w", "x", 1), ("r", "y", 0),
                                             ("w", "y", 2)]),
        _registers("final", 20, 21, ("r", "x", 1), ("r", "y", 0)),
    ],
    "lost commit": [
        _registers("a", 0, 9, ("r", "x", 0), ("w", "x", 1)),
        _registers("final", 20, 21, ("r", "x", 0)),
    ],
}


@pytest.mark.parametrize("name", PLANTED_IN_REGISTERS)
def test_the_checker_finds_planted_anomalies_of_registers(name: str) -> None:
    """Goal: trust the checker.  Method: histories that are wrong in one known way."""
    with pytest.raises(Anomaly):
        check_registers(PLANTED_IN_REGISTERS[name])


def test_the_checker_accepts_a_serial_history_of_registers() -> None:
    """Goal: it does not cry wolf.  Method: a serial history; a killed one took place, one not."""
    history = [
        _registers("a", 0, 1, ("r", "x", 0), ("w", "x", 1)),
        Registers("b", 2, NEVER, "unknown", [("r", "x", 1), ("w", "x", 2)]),
        Registers("c", 2, NEVER, "unknown", [("r", "y", 0), ("w", "y", 9)]),
        Registers("d", 3, NEVER, "unknown", [("r", "x", 2), ("w", "x", 3)]),
        _registers("e", 4, 5, ("r", "x", 3), ("w", "x", 4), ("w", "x", 5), ("r", "x", 5)),
        _registers("final", 6, 7, ("r", "x", 5)),
    ]
    assert check_registers(history) == 5
