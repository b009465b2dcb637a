"""Damaged segments: refused or survived, never a crash, a hang, or a half-believed header."""

import os
import random
import re

import pytest

from processes.programs import build, run

# Bytes of the segment's header (codegen/engine/shm/segment.h): constant under a checksum, then the
# few words that change, which nothing can protect but sense.
CONSTANT_END, MUTABLE_END = 128, 152
SEED = int(os.environ.get("AEROSTORE_DAMAGE_SEED", "0")) or random.SystemRandom().getrandbits(40)
TRIALS = int(os.environ.get("AEROSTORE_DAMAGE_TRIALS", "600"))


@pytest.mark.parametrize("variant", ["release", "asan"])
def test_every_flipped_bit_of_the_header_is_refused(store, variant):
    """Goal: row M2.  Method: flip each bit of the constant header in a copy and attach it."""
    output = run(build("damage", variant), "header", store.data_dir, store.shm_path,
                 f"{store.shm_path}.copy", 0, CONSTANT_END)
    assert "ACCEPTED" not in output
    assert f"refused={CONSTANT_END * 8} error=0 fine=0 crashed=0 hung=0" in output


def test_flipped_bits_of_the_mutable_header_never_crash(store):
    """Goal: sizes and flags are not believed blindly.  Method: flip each bit, use the copy."""
    output = run(build("damage", "asan"), "header", store.data_dir, store.shm_path,
                 f"{store.shm_path}.copy", CONSTANT_END, MUTABLE_END)
    assert "crashed=0 hung=0" in output


def test_a_segment_of_another_length_is_refused(store):
    """Goal: row M4, no SIGBUS at attach.  Method: cut the copy to telling sizes, lengthen it."""
    output = run(build("damage", "asan"), "truncate", store.data_dir, store.shm_path,
                 f"{store.shm_path}.copy")
    assert "ACCEPTED" not in output
    assert "error=0 fine=0 crashed=0 hung=0" in output


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["release", "asan"])
def test_overwritten_words_are_found_or_survived(store, variant):
    """Goal: row M6.  Method: random words of a copy overwritten; attach, verify, scan, write."""
    print(f"seed {SEED}")
    output = run(build("damage", variant), "words", store.data_dir, store.shm_path,
                 f"{store.shm_path}.copy", SEED, TRIALS)
    ends = dict(re.findall(r"(\w+)=(\d+)", output.splitlines()[-1]))
    assert sum(map(int, ends.values())) == TRIALS + 0
    assert int(ends["refused"]) > 0, "the damage was never noticed"
