"""2,000 tables in which no method is better: how often any pair is told apart all the same."""

import numpy as np
import pytest

from featbench.statistics import Seeded
from featbench.statistics._compare import pairwise

TABLES = 2000
METHODS = 5
ALPHA = 0.05
BOUND = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / TABLES)


def false_findings(
    rng: np.random.Generator,
    *,
    seeds: tuple[int, ...] = (1,) * METHODS,
    n: int = 200,
    group: int = 1,
    luck: float = 0.0,
) -> float:
    """Return the share of null tables in which some pair is told apart.

    Every method finds the same images hard, but has its own say in each image (and more so in each
    group of images); a run has luck of its own.
    """
    groups = np.repeat(np.arange(n // group), group) if group > 1 else None
    found = 0
    for _ in range(TABLES):
        ease = rng.normal(1.5, 1.5, n)
        runs = []
        for count in seeds:
            taste = rng.normal(0, 0.7, n)
            if group > 1:
                taste = taste + np.repeat(rng.normal(0, 1.5, n // group), group)
            own = rng.normal(0, luck, (count, 1))
            right = rng.logistic(0, 0.7, (count, n)) < ease + taste + own
            runs.append(Seeded(right, tuple(range(count))))
        p = pairwise(runs, groups)
        found += bool((p < ALPHA).any())
    return found / TABLES


def test_single_runs() -> None:
    share = false_findings(np.random.default_rng(1))
    assert 0.015 < share < BOUND


def test_groups() -> None:
    assert 0.01 < false_findings(np.random.default_rng(2), n=240, group=6) < BOUND


def test_few_groups() -> None:
    assert false_findings(np.random.default_rng(3), n=240, group=20) < BOUND


@pytest.mark.parametrize("luck", [0.0, 0.1])
def test_three_seeds_of_each_method(luck: float) -> None:
    assert false_findings(np.random.default_rng(4), seeds=(3,) * 5, luck=luck) < BOUND


def test_three_seeds_and_groups() -> None:
    assert false_findings(np.random.default_rng(5), seeds=(3,) * 5, n=240, group=6) < BOUND


def test_different_numbers_of_seeds() -> None:
    assert false_findings(np.random.default_rng(6), seeds=(1, 1, 3, 3, 5)) < BOUND


def test_ignoring_groups_would_find_what_is_not_there() -> None:
    """The simulation can tell: the same tables, each image for itself."""
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(200):
        taste = np.repeat(rng.normal(0, 1.5, (METHODS, 40)), 6, axis=1)
        rights = rng.logistic(0, 0.7, (METHODS, 240)) < rng.normal(1.5, 1.5, 240) + taste
        p = pairwise([Seeded(one[None], (0,)) for one in rights])
        found += bool((p < ALPHA).any())
    assert found / 200 > 0.3
