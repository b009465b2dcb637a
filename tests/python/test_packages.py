"""Several packages in one process."""

import pytest

import aerostore


def test_two_packages_side_by_side(aerostore_library, market_library, kinds_package, tmp_path,
                                   store):
    """Goal: three packages work in turn in one process, each on its own store."""
    stores = [(package, tmp_path / f"store{index}", store.shm_path.with_name(
        f"{store.shm_path.name}-{index}"))
        for index, package in enumerate(("aerostore", "market", kinds_package))]
    opened = [aerostore.open(path, package=package, shm_path=shm, size="128MiB")
              for package, path, shm in stores]
    flights, market, kinds = opened
    try:
        assert [db.package for db in opened] == ["aerostore", "market", "kinds"]
        assert kinds.tables == ("Everything", "Numbered", "Wide") and len(market.tables) == 2
        for number in range(50):
            flights["FlightState"].upsert(
                {"flight_id": f"F{number}", "lat": 1, "lon": 2, "updated_at": number})
            kinds["Everything"].upsert({"name": f"K{number}", "i8": number})
        with kinds.transaction(), flights.transaction():
            assert len(flights["FlightState"]) == len(kinds["Everything"]) == 50
        assert all(len(market[name]) == 0 for name in market.tables)
        with pytest.raises(aerostore.UnknownName):
            market.table("FlightState")
        for db in opened:
            db.verify()
    finally:
        for db in opened:
            db.close()


def test_two_databases_of_one_package(aerostore_library, tmp_path, store):
    """Goal: two stores do not mix; the same keys hold different rows."""
    other = store.shm_path.with_name(store.shm_path.name + "-b")
    with (aerostore.open(tmp_path / "a", shm_path=store.shm_path, size="64MiB") as a,
          aerostore.open(tmp_path / "b", shm_path=other, size="64MiB") as b):
        for db, lat in ((a, 1.0), (b, 2.0)):
            db["FlightState"].upsert({"flight_id": "X", "lat": lat, "lon": 0, "updated_at": 0})
        assert (a["FlightState"]["X"].lat, b["FlightState"]["X"].lat) == (1.0, 2.0)


def test_one_store_opened_twice(aerostore_library, store):
    """Goal: two handles on one store in one process see each other's rows."""
    with (aerostore.open(store.data_dir, shm_path=store.shm_path, size="64MiB") as a,
          aerostore.open(store.data_dir, shm_path=store.shm_path) as b):
        assert (a.boot, b.boot) == ("cold", "warm")
        a["FlightState"].upsert({"flight_id": "X", "lat": 1, "lon": 0, "updated_at": 0})
        assert b["FlightState"]["X"].lat == 1.0
        a.close()
        assert len(b["FlightState"]) == 1


def test_a_store_of_another_package_is_refused(aerostore_library, market_library, store):
    """Goal: opening a store with the wrong package is LayoutMismatch and changes nothing."""
    with aerostore.open(store.data_dir, shm_path=store.shm_path, size="64MiB") as db:
        db["FlightState"].upsert({"flight_id": "X", "lat": 1, "lon": 0, "updated_at": 0})
        with pytest.raises(aerostore.LayoutMismatch):
            aerostore.open(store.data_dir, shm_path=store.shm_path, package="market")
        assert len(db["FlightState"]) == 1


def test_embedded_and_logical_profiles(aerostore_library, tmp_path, store):
    """Goal: private memory works for one process; unknown profiles are refused."""
    with aerostore.open(tmp_path / "private", profile="embedded", size="64MiB") as db:
        db["FlightState"].upsert({"flight_id": "X", "lat": 1, "lon": 0, "updated_at": 0})
        assert len(db["FlightState"]) == 1
    with aerostore.open(store.data_dir, "logical", "64MiB", False, shm_path=store.shm_path) as db:
        assert db.get_config("aerostore.synchronous_commit") == "off"
        db.set_config("aerostore.synchronous_commit", "on")
        assert db.get_config("aerostore.synchronous_commit") == "on"
        for value in ("banana", ""):
            with pytest.raises(aerostore.Error):
                db.set_config("aerostore.synchronous_commit", value)
        assert db.get_config("aerostore.synchronous_commit") == "on"
        with pytest.raises(aerostore.UnknownName):
            db.set_config("aerostore.bogus", "1")


def test_settings_are_texts_bools_or_integers(db):
    """Goal: a value of Python's own type serves; others are refused by name.  Method: each."""
    db.set_config("aerostore.synchronous_commit", False)
    assert db.get_config("aerostore.synchronous_commit") == "off"
    db.set_config("aerostore.synchronous_commit", True)
    assert db.get_config("aerostore.synchronous_commit") == "on"
    db.set_config("aerostore.checkpoint_interval_secs", 77)
    assert db.get_config("aerostore.checkpoint_interval_secs") == "77"
    for wrong in (1.5, None, [1], -1):
        with pytest.raises(aerostore.TypeMismatch, match="checkpoint_interval_secs"):
            db.set_config("aerostore.checkpoint_interval_secs", wrong)
    with pytest.raises(aerostore.TypeMismatch):
        db.set_config("aerostore.synchronous_commit", 5)
    assert db.get_config("aerostore.checkpoint_interval_secs") == "77"


def test_a_database_holds_tables_by_name(db):
    """Goal: `in` and iteration answer for the tables' names."""
    assert "FlightState" in db
    assert "Nothing" not in db and 0 not in db
    assert list(db) == list(db.tables) == ["FlightState"]


def test_a_directory_that_others_use_by_another_package_says_so(store, market_library):
    """Goal: the reason is named while they have it.  Method: another package, its own segment."""
    with aerostore.open(store.data_dir, shm_path=store.shm_path), \
            pytest.raises(aerostore.LayoutMismatch, match="another package"):
        aerostore.open(store.data_dir, shm_path=f"{store.shm_path}-market", package="market")


def test_sizes_are_understood():
    """Goal: the spellings of sizes; also what is refused."""
    from aerostore.database import parse_size

    for text, size in (("4GiB", 4 << 30), ("512M", 512 << 20), ("1024", 1024), ("64 kb", 65536),
                       ("1t", 1 << 40), (77, 77)):
        assert parse_size(text) == size
    for bad in ("", "GiB", "-1", "1.5G", "1e3", "٣", 0, True, 2**64, "99999999999999999999T"):
        with pytest.raises(aerostore.UsageError):
            parse_size(bad)


def test_statistics(db, fs):
    """Goal: figures by name, those of tables apart; looks before and after writes."""
    fs.upsert({"flight_id": "X", "lat": 1, "lon": 0, "updated_at": 0})
    stats = db.stats()
    assert set(stats["tables"]) == {"FlightState"}
    assert stats["tables"]["FlightState"]
    report = db.verify()
    assert report.rows == 1 and report.blocks > 0
