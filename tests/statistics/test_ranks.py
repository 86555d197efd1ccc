"""Ranks across data sets: Demšar's worked example, scipy, and the groups of the diagram."""

import numpy as np
import pytest
from scipy import stats

from featbench.errors import UsageError
from featbench.statistics import critical_difference, friedman, mean_ranks, rank_groups

# Demšar (2006), table 6: ranks of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf by AUC on 14 data sets
RANKS = np.array([
    [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5],
    [3, 2, 4, 1], [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5] * 4, [4, 2.5, 1, 2.5], [3, 2, 4, 1],
    [4, 1, 2, 3], [3, 1, 4, 2],
])  # fmt: skip


def test_demsars_worked_example() -> None:
    assert mean_ranks(-RANKS).round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
    found = friedman(-RANKS, ties=False)
    assert round(found.chi2, 2) == 9.28
    assert round(found.f, 2) == 3.69
    assert stats.f.isf(0.05, 3, 39) == pytest.approx(2.85, abs=0.01)
    assert found.p_f == pytest.approx(stats.f.sf(found.f, 3, 39), rel=1e-6)
    assert round(critical_difference(4, 14), 2) == 1.25
    assert round(critical_difference(4, 14, alpha=0.1), 2) == 1.12


def test_nemenyis_quantiles_are_demsars_table_5() -> None:
    table = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102,
             10: 3.164}  # fmt: skip
    for k, q in table.items():
        scale = np.sqrt(k * (k + 1) / (6 * 20))
        assert critical_difference(k, 20) / scale == pytest.approx(q, abs=1e-3)


def test_friedman_is_scipys_ties_and_all() -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        scores = rng.integers(0, 5, (9, 4)).astype(float)
        theirs = stats.friedmanchisquare(*scores.T)
        ours = friedman(scores)
        assert ours.chi2 == pytest.approx(theirs.statistic, rel=1e-9)
        assert ours.p_chi2 == pytest.approx(theirs.pvalue, rel=1e-6)


def test_data_sets_that_all_agree_or_all_tie() -> None:
    same = friedman([[3.0, 2.0, 1.0]] * 5)
    assert same.f == np.inf
    assert same.p_f == pytest.approx(6.0**-4)
    tied = friedman([[2.0, 1.0, 1.0]] * 2)
    assert (tied.f, tied.p_f) == (np.inf, pytest.approx(1 / 3))
    assert friedman(np.ones((4, 3))) == (0, 1, 0, 1)


def test_groups_within_the_critical_difference() -> None:
    ranks = mean_ranks(-RANKS)
    assert rank_groups(ranks, 1.25) == [(3, 1, 2, 0)]
    assert rank_groups(ranks, 1.12) == [(3, 1, 2), (2, 0)]
    assert rank_groups([1.0, 5.0, 2.0, 4.0], 1.5) == [(0, 2), (3, 1)]
    assert rank_groups([1.0, 2.0, 3.0], 2.0) == [(0, 1), (1, 2)]
    assert rank_groups([1.0, 2.0], 1.0) == []


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(UsageError, match="leave out"):
        mean_ranks([[1.0, np.nan]])
    with pytest.raises(UsageError, match="two of each"):
        friedman([[1.0, 2.0]])
