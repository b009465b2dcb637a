"""Rows so wide that each of their versions is taken from the heap by itself, past every stock."""

import os

WIDE = """
    import os, random, signal, time
    import aerostore
    from aerostore import SerializationFailure

    def row(key, number):
        letter = chr(97 + number % 26)
        return {"name": key, "number": number, "first": letter * 4096,
                "second": None if number % 3 else letter * 4000,
                "text": None if number % 2 else letter * (10 + number % 40_000)}

    def whole(found):
        return found is None or dict(found) == row(found.name, found.number)

    def opened():
        return aerostore.open(os.environ["STORE_DIR"], package=os.environ["KINDS"], size="64MiB",
                              synchronous_commit=False)

    db = opened()
    wide = db.table("Wide")
"""


def test_wide_rows_are_written_again_and_again(script, kinds_package):
    """Goal: inserts, updates, rollbacks and deletes of wide rows, and a recovery of them.  Method:
    many more than a process has registers for what is in its hand."""
    script(WIDE + """
    for number in range(60):
        wide.upsert(row(f"k{number % 20}", number))
        assert whole(wide.get(f"k{number % 20}"))
    for number in range(30):
        try:
            with db.transaction():
                wide.upsert(row("k1", 100 + number))
                with db.transaction():
                    wide.upsert(row(f"new{number}", number))
                raise KeyError
        except KeyError:
            pass
    assert len(wide) == 20 and all(whole(found) for found in wide.search([]))
    used = db.stats().segment_used
    for number in range(600):
        wide.upsert(row(f"k{number % 20}", number))
    assert db.stats().segment_used <= used + (8 << 20)
    before = {found.name: dict(found) for found in wide.search([])}
    db.verify()
    segment = db.stats().segment_path
    db.close()
    os.unlink(segment)
    db = opened()
    assert {found.name: dict(found) for found in db.table("Wide").search([])} == before
    for key in before:
        db.table("Wide").delete(key)
    assert len(db.table("Wide")) == 0
    db.verify()
    """, KINDS=str(kinds_package))


def test_killed_writers_of_wide_rows_leave_whole_ones(script, kinds_package):
    """Goal: what the dead had in hand comes back, and no row is torn.  Method: writers of few keys,
    killed at random; verify accounts for every block."""
    script(WIDE + """
    seed = int(os.environ["SEED"])
    dice = random.Random(seed)

    def work(mine):
        wide = opened().table("Wide")
        mine = random.Random(mine)
        while True:
            try:
                key = f"k{mine.randrange(8)}"
                if mine.random() < 0.2:
                    wide.upsert(row(key, 0))
                    wide.delete(key)
                else:
                    wide.upsert(row(key, mine.randrange(40_000)))
            except (SerializationFailure, aerostore.RowNotFound):
                pass

    for round in range(25):
        children = []
        for number in range(2):
            child = os.fork()
            if child == 0:
                try:
                    work(seed + 2 * round + number)
                finally:
                    os._exit(1)
            children.append(child)
        time.sleep(0.03 + 0.05 * dice.random())
        for child in children:
            os.kill(child, signal.SIGKILL)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL, f"seed {seed}"
        assert all(whole(found) for found in wide.search([])), f"seed {seed}"
        wide.upsert(row("mine", round))
    db.verify()
    assert db.stats().segment_used < 48 << 20
    """, KINDS=str(kinds_package), SEED=str(int.from_bytes(os.urandom(3), "little")))
