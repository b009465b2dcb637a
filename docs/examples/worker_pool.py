"""A pool of worker processes that share one table: each row is worked on once, whoever dies.

    python worker_pool.py [data_dir] [workers]

The work: give each flight without a destination the nearest airport.  A worker takes a row by
locking it in a transaction; if it is killed, the lock and its half-done work are gone, and another
takes the row.  The first worker here is killed on purpose, in the middle.
"""

import math
import multiprocessing
import os
import random
import signal
import sys

import aerostore

AIRPORTS = {"KSFO": (37.62, -122.38), "KJFK": (40.64, -73.78), "LSZH": (47.46, 8.55)}
FLIGHTS = 400


def fill(table: aerostore.Table) -> None:
    """Make flights that know no destination."""
    rng = random.Random(1)
    table.upsert_many(
        {"flight_id": f"F{number:03}", "lat": rng.uniform(30, 55), "lon": rng.uniform(-130, 15),
         "altitude": 0, "updated_at": 1533099600}
        for number in range(FLIGHTS))


def take_one(database: aerostore.Database, rng: random.Random, fatal: bool) -> bool:
    """Work on one open row; False when there is none left."""
    table = database.table("FlightState")
    waiting = table.search([("null", "dest")], fields=["flight_id"], limit=32)
    keys = [row.flight_id for row in waiting]
    if not keys:
        return False
    key = rng.choice(keys)  # workers that choose at random seldom meet

    def work() -> None:
        row = table.lock_for_update(key)
        if row is None or row.dest is not None:
            return  # somebody else was first
        distance = {name: math.dist((row.lat, row.lon), place) for name, place in AIRPORTS.items()}
        table.update(key, dest=min(distance, key=distance.__getitem__))
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)  # not committed: nothing of it stays
        table.incr(key, "altitude")  # counts how often the row was worked on

    database.run(work)
    return True


def worker(database: aerostore.Database, number: int, dies: bool) -> None:
    """Take rows until none is left."""
    rng = random.Random(number)
    done = 0
    while take_one(database, rng, fatal=dies and done == 20):
        done += 1


def main() -> None:
    """Fork the pool, wait for it, and look at what it did."""
    data = sys.argv[1] if len(sys.argv) > 1 else "worker_pool_data"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    fork = multiprocessing.get_context("fork")
    with aerostore.open(data, size="64MiB", synchronous_commit=False) as database:
        table = database.table("FlightState")
        fill(table)
        pool = [fork.Process(target=worker, args=(database, number, number == 0))
                for number in range(count)]
        for process in pool:
            process.start()
        for process in pool:
            process.join()
        killed = sum(process.exitcode == -signal.SIGKILL for process in pool)
        once = table.search([("=", "altitude", 1), ("notnull", "dest")]).count()
        print(f"{count} workers, {killed} killed: {once} of {FLIGHTS} flights, each done once")
        for name in AIRPORTS:
            assert table.search([("=", "dest", name)]).count() > 0
        database.verify()


if __name__ == "__main__":
    main()
