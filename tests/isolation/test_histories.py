"""Random list-append histories of killed and stopped processes, checked for serializability."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

import aerostore
from isolation.histories import Anomaly, Done, check

WORKERS = 8
KEYS = 6
SECONDS = float(os.environ.get("AEROSTORE_HISTORY_SECONDS", "6"))
NEVER = sys.maxsize


def _row(key: str, values: list[int]) -> dict[str, object]:
    text = ",".join(map(str, values))
    return {"flight_id": key, "lat": 0, "lon": 0, "updated_at": 0, "typ": text}


def _read(table: aerostore.Table, key: str) -> list[int]:
    row = table.get(key)
    return [] if row is None or not row["typ"] else [int(part) for part in row["typ"].split(",")]


def work(data_dir: str, shm_path: str, log: str, number: int, seed: int) -> None:
    """Run random transactions for ever, noting each in a file before and after."""
    dice = random.Random(seed)
    count = 0
    with Path(log).open("a", buffering=1) as out:
        db = aerostore.open(data_dir, shm_path=shm_path, size="256MiB")
        table = db["FlightState"]
        while True:
            begun = time.monotonic_ns()
            epoch = begun // 1_000_000_000  # short lists: new keys every second
            steps: list[tuple[str, str, object]] = []
            for _ in range(dice.randint(1, 4)):
                key = f"{epoch}-{dice.randrange(KEYS)}"
                count += 1
                kind = dice.choice(("append", "read"))
                steps.append((kind, key, number * 10_000_000 + count))
            name = f"{number}.{os.getpid()}.{count}"
            out.write(json.dumps({"begin": name, "at": begun, "steps": steps}) + "\n")
            reads: list[tuple[str, list[int]]] = []
            try:
                with db.transaction():
                    for kind, key, value in steps:
                        values = _read(table, key)
                        reads.append((key, list(values)))
                        if kind == "append":
                            values.append(int(str(value)))
                            table.upsert(_row(key, values))
                state = "ok"
            except aerostore.SerializationFailure:
                state = "aborted"
            out.write(
                json.dumps({"end": name, "at": time.monotonic_ns(), "state": state, "reads": reads})
                + "\n"
            )


def collect(logs: list[Path]) -> list[Done]:
    """Read the workers' notes; a begin without an end was killed."""
    history: dict[str, Done] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            try:
                note = json.loads(line)
            except ValueError:
                continue  # the last line of the killed
            if "begin" in note:
                done = Done(note["begin"], note["at"], NEVER, "unknown")
                done.appends = [(k, v) for kind, k, v in note["steps"] if kind == "append"]
                history[done.name] = done
            else:
                done = history[note["end"]]
                done.ended, done.state = note["at"], note["state"]
                done.reads = [(key, tuple(values)) for key, values in note["reads"]]
    return list(history.values())


def final_read(table: aerostore.Table) -> Done:
    """Read everything, as the last transaction."""
    now = time.monotonic_ns()
    done = Done("final", now, now + 1, "ok")
    for row in table.search([], fields=["flight_id", "typ"]):
        done.reads.append((row["flight_id"], tuple(int(part) for part in row["typ"].split(","))))
    return done


def test_random_histories_with_kills_and_stops_are_strictly_serializable(
    aerostore_library: Path, store
) -> None:
    """Goal: no anomaly whoever dies or stops.  Method: list-append by 8 processes, cycles."""
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
                str(store.data_dir),
                str(store.shm_path),
                str(log),
                number,
                dice.randrange(2**31),
            ),
        )
        process.start()
        return process

    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="256MiB") as db:
        workers = [start(number) for number in range(WORKERS)]
        deadline = time.monotonic() + SECONDS
        kills = 0
        while time.monotonic() < deadline:
            time.sleep(dice.uniform(0.02, 0.2))
            number = dice.randrange(WORKERS)
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
                kills += 1
        for process in workers:
            process.kill()
            process.join()
        history = collect(logs)
        history.append(final_read(db["FlightState"]))
        committed = check(history)
        print("kills", kills, "committed", committed, "of", len(history))
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
