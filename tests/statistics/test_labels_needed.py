"""Where a few-shot curve reaches an accuracy, with an interval that covers."""

import numpy as np
import pytest

from featbench.errors import UsageError
from featbench.statistics import labels_needed

SIZES = [1, 2, 5, 10]


def test_between_two_sizes_the_curve_is_linear_in_the_logarithm() -> None:
    found = labels_needed(SIZES, [[0.2], [0.4], [0.6], [0.8]], 0.5)
    assert found.count == pytest.approx(np.sqrt(2 * 5))
    assert (found.low, found.high, found.at_most) == (None, None, False)
    assert labels_needed(SIZES, [[0.2], [0.4], [0.6], [0.8]], 0.6).count == pytest.approx(5)


def test_what_is_never_reached_and_what_is_reached_at_once() -> None:
    curves = [[0.2, 0.3], [0.4, 0.4], [0.6, 0.5], [0.8, 0.7]]
    never = labels_needed(SIZES, curves, 0.9)
    assert (never.count, never.low, never.high) == (None, None, None)
    at_once = labels_needed(SIZES, curves, 0.1)
    assert (at_once.count, at_once.low, at_once.high, at_once.at_most) == (1, 1, 1, True)
    half = labels_needed(SIZES, curves, 0.79)
    assert half.count is None  # the mean does not reach it
    assert half.low is not None  # but some resamples do
    assert half.high is None


def test_a_dip_does_not_hide_the_first_crossing() -> None:
    assert labels_needed([1, 2, 4], [[0.2], [0.6], [0.4]], 0.6).count == pytest.approx(2)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    means = np.array([0.3, 0.5, 0.7, 0.85])[:, None]
    truth = labels_needed(SIZES, means, 0.6).count
    assert truth is not None
    held = 0
    for trial in range(300):
        draws = means + rng.normal(0, 0.03, (1, 20)) + rng.normal(0, 0.03, (4, 20))
        found = labels_needed(SIZES, draws, 0.6, resamples=400, seed=trial)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 0.88 < held / 300 < 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    draws = np.random.default_rng(1).normal([[0.3], [0.5], [0.7], [0.8]], 0.05, (4, 8))
    assert labels_needed(SIZES, draws, 0.6) == labels_needed(SIZES, draws, 0.6)


@pytest.mark.parametrize(
    ("sizes", "accuracies"),
    [([1, 2], [[0.1]]), ([1], [0.1]), ([2, 1], [[0.1], [0.2]]), ([0, 1], [[0.1], [0.2]]),
     ([1, 2], [[0.1], [float("nan")]]), ([], np.empty((0, 3)))],
)  # fmt: skip
def test_what_cannot_be_is_refused(sizes: object, accuracies: object) -> None:
    with pytest.raises(UsageError, match="labels_needed"):
        labels_needed(sizes, accuracies, 0.5)  # type: ignore[arg-type]
