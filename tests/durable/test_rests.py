"""A checkpoint that nobody waits for rests, and its keeper goes on flushing meanwhile."""

import threading
import time

import aerostore
from durable import stores
from support.patience import until

ROWS = 150_000


def test_a_checkpoint_by_itself_rests_and_commits_are_flushed_meanwhile(place):
    """Goal: the keeper leaves the processor to others for the part that is set, and asynchronous
    commits are on the disk within the interval also while it is at a long checkpoint.

    Method: one that works for a twentieth of its time, in private memory; it is longer than the
    same one on demand, and commits made during it are flushed before it is complete.
    """
    with aerostore.open(place / "s", "embedded", "512MiB", synchronous_commit=False) as db:
        table = db["FlightState"]
        db.set_config("aerostore.checkpoint_interval_secs", "0")
        db.set_config("aerostore.checkpoint_wal_bytes", "0")
        table.upsert_many(stores.row(f"F{number}", number) for number in range(ROWS))
        until(lambda: db.stats()["log_lag_commits"] == 0)
        began = time.monotonic()
        assert db.checkpoint().rows == ROWS
        on_demand = time.monotonic() - began
        db.set_config("aerostore.checkpoint_rest_percent", "95")
        db.set_config("aerostore.flush_interval_ms", "5")
        taken = db.stats()["checkpoints"]
        flushed = 0
        table.upsert(stores.row("one more", 1))
        began = time.monotonic()
        db.set_config("aerostore.checkpoint_wal_bytes", "1")
        new = place / "s" / "checkpoint.dat.new"
        until(new.exists, 0.001)
        while db.stats()["checkpoints"] == taken:
            table.upsert(stores.row(f"N{flushed}", flushed))
            until(lambda: db.stats()["log_lag_commits"] == 0 or db.stats()["checkpoints"] != taken,
                  0.001)
            flushed += db.stats()["checkpoints"] == taken
        by_itself = time.monotonic() - began
        db.set_config("aerostore.checkpoint_wal_bytes", "0")
        print(f"on demand {on_demand:.3f} s, by itself {by_itself:.3f} s, {flushed} flushed")
        assert flushed >= 5
        assert by_itself > 2 * on_demand


def test_a_checkpoint_on_demand_rests_while_others_commit(place):
    """Goal: whoever waits for a checkpoint gets it at once where nobody else is at work, and
    leaves the processor to those who commit meanwhile.

    Method: rests of nineteen twentieths: ten times the time beside a thread that commits all the
    time, and nothing of the kind without it.
    """
    with aerostore.open(place / "s", "embedded", "512MiB", synchronous_commit=False) as db:
        table = db["FlightState"]
        db.set_config("aerostore.checkpoint_interval_secs", "0")
        db.set_config("aerostore.checkpoint_wal_bytes", "0")
        table.upsert_many(stores.row(f"F{number}", number) for number in range(ROWS))
        unrested = min(db.checkpoint().elapsed for _ in range(3))
        db.set_config("aerostore.checkpoint_rest_percent", "95")
        alone = min(db.checkpoint().elapsed for _ in range(3))
        ended = threading.Event()

        def write() -> None:
            number = 0
            while not ended.is_set():
                number += 1
                table.upsert(stores.row("F0", number))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            beside = min(db.checkpoint().elapsed for _ in range(2))
        finally:
            ended.set()
            writer.join()
        print(f"{unrested:.3f} s, alone {alone:.3f} s, beside a writer {beside:.3f} s")
        assert alone < 4 * unrested
        assert beside > 4 * alone
