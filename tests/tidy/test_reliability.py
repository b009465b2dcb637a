"""The reliability matrix names tests that exist, and each row of it has one."""

from bench.areas import AREAS
from support import matrix
from support.paths import ROOT


def test_every_row_of_the_matrix_names_tests_that_exist():
    """A renamed or removed test is renamed or replaced in docs/reliability.md, too."""
    names: dict[str, set[str]] = {}
    wrong = []
    for row in matrix.rows():
        if not row.proofs:
            wrong.append(f"{row.number}: no test")
        for proof in row.proofs:
            if proof.benchmark:
                known = set(AREAS)
            else:
                path = ROOT / proof.file
                if proof.file not in names:
                    names[proof.file] = matrix.names_of(path) if path.exists() else set()
                known = names[proof.file] | ({""} if names[proof.file] else set())
            if proof.name not in known:
                wrong.append(f"{row.number}: {proof.text}")
    assert not wrong, wrong


# Folders whose tests are about guarantees and nothing else.
GUARANTEES = ("concurrency", "crash", "durable", "explore", "isolation", "oracle", "processes")


def test_no_proof_is_forgotten():
    """Each file of the folders above is in a row, as a whole or by some of its tests."""
    named = {proof.file for row in matrix.rows() for proof in row.proofs}
    files = {str(path.relative_to(ROOT)) for folder in GUARANTEES
             for path in (ROOT / "tests" / folder).glob("test_*")}
    assert not files - named, f"name them in docs/reliability.md: {sorted(files - named)}"


def test_rows_of_the_matrix_are_numbered_once_and_in_order():
    """M1, M2, … P1, …: each number names one guarantee."""
    seen: dict[str, int] = {}
    for row in matrix.rows():
        letter, number = row.number[0], int(row.number[1:])
        assert number == seen.get(letter, 0) + 1, row.number
        seen[letter] = number
    assert len(seen) > 5
