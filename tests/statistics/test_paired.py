"""McNemar's test, sign flips, Holm: reference values, brute force, and the level they keep."""

import itertools

import numpy as np
import pytest
from scipy import stats

from featbench.errors import UsageError
from featbench.statistics import Seeded, holm, mcnemar, paired_p_value, sign_flip_test
from featbench.statistics._paired import MCNEMAR

RNG = np.random.default_rng(7)
PAIRS = [(0, 1), (1, 7), (0, 6), (5, 5), (12, 2), (43, 21), (150, 86), (700, 801)]


def test_mcnemar_by_worked_examples() -> None:
    """Approval ratings (Agresti 1990, table 10.1): 150 and 86; Bentur et al. (2009): 7 and 1.

    The first is the example of R's mcnemar.test: 34.712 with continuity correction, 17.356
    without half of it; the second Fagerland et al.'s (2013), table 1: exact 0.0703, mid-p 0.0391,
    asymptotic 0.0339, with correction 0.0771.
    """
    assert mcnemar(150, 86, method="chi2-corrected") == pytest.approx(4.115e-5, rel=1e-3)
    assert stats.chi2.isf(mcnemar(150, 86, method="chi2-corrected"), 1) == pytest.approx(
        (64 - 1) ** 2 / 236, rel=1e-9
    )
    expected = {"exact": 0.0703, "mid-p": 0.0391, "chi2": 0.0339, "chi2-corrected": 0.0771}
    for method, p in expected.items():
        assert round(mcnemar(7, 1, method=method), 4) == p


@pytest.mark.parametrize(("b", "c"), PAIRS)
def test_mcnemar_is_scipys_binomial_and_chi_squared(b: int, c: int) -> None:
    n = b + c
    exact = stats.binomtest(b, n).pvalue
    assert mcnemar(b, c, method="exact") == pytest.approx(exact, rel=1e-9)
    half = stats.binom.pmf(b, n, 0.5) * (0.5 if b == c else 1)
    assert mcnemar(b, c) == pytest.approx(exact - half, rel=1e-6)
    assert mcnemar(b, c, method="chi2") == pytest.approx(stats.chi2.sf((b - c) ** 2 / n, 1))
    corrected = max(abs(b - c) - 1, 0) ** 2 / n
    assert mcnemar(b, c, method="chi2-corrected") == pytest.approx(stats.chi2.sf(corrected, 1))


def test_without_disagreements_nothing_is_found() -> None:
    assert [mcnemar(0, 0, method=method) for method in MCNEMAR] == [1.0] * 4
    assert sign_flip_test([0, 0]) == 1.0
    with pytest.raises(UsageError, match="expected mid-p, exact, chi2, chi2-corrected"):
        mcnemar(1, 2, method="x")


def level(alpha: float, method: str) -> float:
    """Return the most often that a true null is refused, over expected numbers of disagreements."""
    most = 400
    refused = np.zeros(most)
    for n in range(1, most):
        first = np.arange(n + 1)
        small = [mcnemar(b, n - b, method=method) <= alpha for b in range(n // 2 + 1)]
        refused[n] = stats.binom.pmf(first, n, 0.5) @ np.take(small, np.minimum(first, n - first))
    chances = stats.poisson.pmf(np.arange(most)[:, None], np.geomspace(1, 300, 100))
    return float((refused @ chances).max())


@pytest.mark.parametrize("alpha", [0.05, 0.005, 0.001])
def test_mid_p_keeps_the_level_where_the_number_of_disagreements_is_left_to_chance(
    alpha: float,
) -> None:
    assert 0.95 * alpha < level(alpha, "mid-p") < 1.005 * alpha


def test_why_not_the_others() -> None:
    assert level(0.05, "exact") < 0.88 * 0.05
    assert level(0.05, "chi2-corrected") < 0.88 * 0.05
    assert level(0.05, "chi2") > 1.05 * 0.05


@pytest.mark.parametrize("trial", range(12))
def test_flips_are_all_counted(trial: int) -> None:
    steps = RNG.integers(-4, 5, 11) * (1 + 2 * (trial % 2))
    signs = np.array(list(itertools.product([-1, 1], repeat=11)))
    sums, observed = np.abs(signs @ steps), abs(int(steps.sum()))
    exact, equal = (sums >= observed).mean(), (sums == observed).mean()
    assert sign_flip_test(steps) == pytest.approx(exact, abs=1e-12)
    assert sign_flip_test(steps, mid_p=True) == pytest.approx(exact - equal / 2, abs=1e-12)


@pytest.mark.parametrize(("b", "c"), PAIRS)
def test_flips_of_single_images_are_mcnemars_test(b: int, c: int) -> None:
    steps = [1] * b + [-1] * c + [0] * 5
    assert sign_flip_test(steps) == pytest.approx(mcnemar(b, c, method="exact"), abs=1e-9)
    assert sign_flip_test(steps, mid_p=True) == pytest.approx(mcnemar(b, c), abs=1e-9)


def test_flips_of_many_images_and_large_steps_are_as_the_normal_law_says() -> None:
    steps = RNG.integers(-15, 16, 20_000)
    steps[:300] = 12
    z = abs(steps.sum()) / np.sqrt((steps**2).sum())
    assert sign_flip_test(steps, mid_p=True) == pytest.approx(2 * stats.norm.sf(z), rel=0.02)


def test_holm_by_the_worked_example() -> None:
    """R's p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.001, 0.6]) == pytest.approx([0.08, 0.003, 0.6])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def seeded(right: np.ndarray, *seeds: int) -> Seeded:
    return Seeded(right, seeds)


def test_one_run_each_is_mcnemars_test_whatever_the_seeds() -> None:
    a, b = RNG.random((2, 300)) < [[0.9], [0.8]]
    expected = mcnemar(int((a & ~b).sum()), int((b & ~a).sum()))
    assert paired_p_value(seeded(a[None], 0), seeded(b[None], 7)) == expected


def test_runs_are_paired_by_seed_not_by_place() -> None:
    a, b = RNG.random((3, 300)) < 0.9, RNG.random((3, 300)) < 0.85
    p = paired_p_value(seeded(a, 0, 1, 2), seeded(b, 0, 1, 2))
    assert paired_p_value(seeded(a, 0, 1, 2), seeded(b[[2, 0, 1]], 2, 0, 1)) == p
    only = paired_p_value(seeded(a, 0, 1, 2), seeded(b[[0, 1]], 0, 1))
    assert only == paired_p_value(seeded(a[:2], 0, 1), seeded(b[:2], 0, 1))
    assert paired_p_value(seeded(b, 0, 1, 2), seeded(a, 0, 1, 2)) == pytest.approx(p, rel=1e-12)


def test_a_difference_that_all_seeds_share_is_found_though_seeds_vary() -> None:
    """Few-shot draws: good and bad draws are so for both methods."""
    draw = np.array([0.5, 0.7, 0.9])[:, None]
    base = RNG.random((3, 1000))
    a, b = base < draw, base < draw - 0.06
    paired = paired_p_value(seeded(a, 0, 1, 2), seeded(b, 0, 1, 2))
    apart = paired_p_value(seeded(a, 0, 1, 2), seeded(b, 3, 4, 5))
    assert paired < 0.01
    assert apart > 0.3


def test_a_method_with_one_run_is_set_against_each_run_of_the_other() -> None:
    one = RNG.random((1, 400)) < 0.9
    many = RNG.random((3, 400)) < 0.8
    against = paired_p_value(seeded(one, 0), seeded(many, 0, 1, 2))
    assert against == paired_p_value(seeded(one, 9), seeded(many, 0, 1, 2))
    repeated = np.repeat(one, 3, axis=0)
    assert against == pytest.approx(
        paired_p_value(seeded(repeated, 0, 1, 2), seeded(many, 0, 1, 2)), rel=1e-12
    )


def test_groups_of_copies_count_once() -> None:
    a, b = RNG.random((2, 60)) < [[0.9], [0.7]]
    groups = np.repeat(np.arange(60), 8)
    steps = a.astype(int) - b
    p = paired_p_value(seeded(np.repeat(a, 8)[None], 0), seeded(np.repeat(b, 8)[None], 0), groups)
    assert p == pytest.approx(sign_flip_test(steps), rel=1e-9)


def test_one_group_can_tell_nothing_apart() -> None:
    a, b = np.ones((2, 50), bool), np.zeros((2, 50), bool)
    assert paired_p_value(seeded(a, 0, 1), seeded(b, 0, 1), np.zeros(50, np.int64)) == 1.0
    assert paired_p_value(seeded(a, 0, 1), seeded(b, 0, 1)) < 1e-9
