"""Letters say exactly which methods are told apart; the published example; the order."""

import numpy as np
import pytest

from featbench.statistics import compact_letters

RNG = np.random.default_rng(11)


def random_matrix(n: int, share: float) -> np.ndarray:
    upper = np.triu(RNG.random((n, n)) < share, 1)
    return upper | upper.T


def pairs_of(n: int, *pairs: tuple[int, int]) -> np.ndarray:
    matrix = np.zeros((n, n), dtype=bool)
    for a, b in pairs:
        matrix[a, b] = matrix[b, a] = True
    return matrix


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 5, 9, 16])
def test_two_methods_share_a_letter_exactly_where_they_are_not_told_apart(
    n: int, share: float
) -> None:
    for _ in range(8):
        significant = random_matrix(n, share)
        letters = compact_letters(significant)
        assert all(letters)
        for a in range(n):
            for b in range(a):
                assert bool(set(letters[a]) & set(letters[b])) != significant[a, b]
        used = list(dict.fromkeys(letter for own in letters for letter in own))
        assert used[0] == "a"
        for letter in used:  # none can be spared
            without = [set(own) - {letter} for own in letters]
            assert not all(without) or any(
                not significant[a, b] and not without[a] & without[b]
                for a in range(n)
                for b in range(a)
            )


def test_a_column_that_others_cover_is_swept_off() -> None:
    """1-7, 1-8, 2-4, 2-5 and 3-5 told apart: six largest cliques, of which five suffice."""
    letters = compact_letters(pairs_of(8, (0, 6), (0, 7), (1, 3), (1, 4), (2, 4)))
    assert len({letter for own in letters for letter in own}) == 5


def test_ordered_means_have_overlapping_runs_of_letters() -> None:
    letters = compact_letters(pairs_of(4, (0, 2), (0, 3), (1, 3)))
    assert letters == [("a",), ("a", "b"), ("b", "c"), ("c",)]
    assert compact_letters(pairs_of(3)) == [("a",)] * 3
    assert compact_letters(np.zeros((0, 0), bool)) == []


def test_after_z_letters_have_numbers() -> None:
    n = 60
    letters = compact_letters(~np.eye(n, dtype=bool))
    assert letters[0] == ("a",)
    assert letters[25] == ("z",)
    assert letters[26] == ("a2",)
    assert letters[59] == ("h3",)
