"""Many processes create, attach and unlink one store at the same time."""

import pytest

from processes.programs import build, run


def test_exactly_one_of_many_creates_the_store(store):
    """Goal: row M1.  Method: 40 processes open a missing store at once, 25 times over."""
    assert run(build("race"), "start", store.data_dir, store.shm_path, 40, 25).endswith("good\n")


@pytest.mark.slow
def test_two_hundred_processes_start_at_once(store):
    """Goal: row M1, at its size.  Method: as above with 200 processes."""
    assert run(build("race"), "start", store.data_dir, store.shm_path, 200, 3).endswith("good\n")


@pytest.mark.slow
def test_nobody_sees_a_half_made_store_while_others_unlink_it(store):
    """Goal: row M1.  Method: 24 processes open, use, close and unlink for five seconds."""
    assert run(build("race"), "chaos", store.data_dir, store.shm_path, 24, 5000).endswith("good\n")
