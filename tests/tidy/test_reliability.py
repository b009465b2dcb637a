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
                known = names[proof.file]
            if proof.name not in known:
                wrong.append(f"{row.number}: {proof.text}")
    assert not wrong, wrong


def test_rows_of_the_matrix_are_numbered_once_and_in_order():
    """M1, M2, … P1, …: each number names one guarantee."""
    seen: dict[str, int] = {}
    for row in matrix.rows():
        letter, number = row.number[0], int(row.number[1:])
        assert number == seen.get(letter, 0) + 1, row.number
        seen[letter] = number
    assert len(seen) > 5
