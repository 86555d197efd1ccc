"""Bootstrap intervals: scipy's levels, plain resampling's ends, groups, and honest rims."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, f1_score

from featbench.errors import UsageError
from featbench.statistics import (
    METRICS,
    Seeded,
    accuracy_interval,
    bootstrap_interval,
    calibration_interval,
    log_loss_interval,
    mean_interval,
    metric_interval,
    wilson_interval,
)
from featbench.statistics._bootstrap import bca_levels

RNG = np.random.default_rng(5)


def one_run(right: np.ndarray) -> Seeded:
    return Seeded(right[None], (0,))


def test_wilson_by_the_worked_example() -> None:
    """Wilson's interval for 81 of 263 (Newcombe 1998, Statistics in Medicine 17:857, table I)."""
    low, high = wilson_interval(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson_interval(0.0, 20)[0] == 0
    assert round(wilson_interval(0.0, 20)[1], 4) == 0.1611
    assert wilson_interval(1.0, 20)[1] == 1
    assert wilson_interval(0.5, 0) == (0, 1)


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 40), (912, 1000), (40, 40)])
def test_wilson_is_scipys(right: int, n: int) -> None:
    theirs = stats.binomtest(right, n).proportion_ci(0.9, method="wilson")
    assert wilson_interval(right / n, n, confidence=0.9) == pytest.approx(tuple(theirs), abs=1e-9)


def test_bca_is_scipys_on_the_same_resamples() -> None:
    values = RNG.exponential(size=60).round(1)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=4000, method="BCa", rng=1)
    kinds, counts = np.unique(values, return_counts=True)
    without = (values.sum() - kinds) / (len(values) - 1)
    drawn = theirs.bootstrap_distribution
    levels = bca_levels(drawn, float(values.mean()), without, counts, 0.95)
    expected = tuple(theirs.confidence_interval)
    assert np.quantile(drawn, levels) == pytest.approx(expected, abs=1e-9)


def test_a_mean_has_the_interval_of_plain_resampling() -> None:
    values = RNG.exponential(size=200)
    for method, theirs in (("bca", "BCa"), ("percentile", "percentile")):
        expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method=theirs, rng=1)
        ours = mean_interval(values, method=method, resamples=20_000)
        assert ours == pytest.approx(tuple(expected.confidence_interval), abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_another_nearly() -> None:
    values = RNG.exponential(size=300)
    assert mean_interval(values, seed=3) == mean_interval(values, seed=3)
    assert mean_interval(values, seed=3) != mean_interval(values, seed=4)
    assert mean_interval(values, seed=3) == pytest.approx(mean_interval(values, seed=4), abs=0.01)


def test_copies_of_an_image_in_one_group_add_nothing() -> None:
    values = RNG.random(100) < 0.8
    groups = np.arange(100)
    alone = mean_interval(values)
    assert mean_interval(np.repeat(values, 9), np.repeat(groups, 9)) == pytest.approx(
        alone, abs=0.006
    )
    narrow = mean_interval(np.repeat(values, 9))
    assert narrow.high - narrow.low < 0.5 * (alone.high - alone.low)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("grouped", [False, True])
def test_metrics_have_the_interval_of_resampling_image_by_image(metric: str, grouped: bool) -> None:
    n = 150
    labels = RNG.integers(0, 6, n)
    predicted = np.where(RNG.random((2, n)) < 0.7, labels, RNG.integers(0, 7, (2, n)))
    groups = RNG.integers(0, 30, n) if grouped else np.arange(n)
    members = [np.flatnonzero(groups == g) for g in np.unique(groups)]

    def value(rows: np.ndarray) -> float:
        y, present = labels[rows], np.unique(labels[rows])
        if metric == "macro_f1":
            of = [
                np.mean([2 * ((p == c) & (y == c)).sum() / ((p == c).sum() + (y == c).sum())
                         for c in present])
                for p in predicted[:, rows]
            ]  # fmt: skip
        else:
            of = [np.mean([(p[rows] == y)[y == c].mean() for c in present]) for p in predicted]
        return float(np.mean(of))

    drawn = [
        value(np.concatenate([members[g] for g in RNG.integers(0, len(members), len(members))]))
        for _ in range(1500)
    ]
    names = np.array(list("abcdefg"))
    ours = metric_interval(
        metric, names[labels], list(names[predicted]), groups if grouped else None,
        method="percentile",
    )  # fmt: skip
    width = float(np.subtract(*np.quantile(drawn, [0.975, 0.025])))
    assert ours == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.12 * width)


def test_metrics_of_the_whole_are_sklearns() -> None:
    """One kind of resample: with a confidence of nearly nothing both ends are the median."""
    labels = RNG.integers(0, 4, 4000)
    predicted = np.where(RNG.random(4000) < 0.8, labels, RNG.integers(0, 4, 4000))
    for metric, theirs in (
        ("balanced_accuracy", balanced_accuracy_score(labels, predicted)),
        ("macro_f1", f1_score(labels, predicted, average="macro")),
    ):
        low, high = metric_interval(metric, labels, [predicted], confidence=1e-6)
        assert low == pytest.approx(high, abs=1e-3)
        assert low == pytest.approx(theirs, abs=1e-3)


def test_intervals_of_metrics_hold_the_true_value_as_often_as_they_say() -> None:
    truth = 0.55 * 0.6 + 0.95 * 0.4
    chance = np.where(RNG.random((300, 120)) < 0.6, 0.55, 0.95)
    held = 0
    for right in RNG.random((300, 120)) < chance:
        low, high = mean_interval(right, resamples=1000)
        held += low <= truth <= high
    assert held / 300 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 300)


def test_calibration_intervals_hold_an_error_of_a_known_size() -> None:
    held = 0
    for _ in range(200):
        chance = RNG.choice([0.35, 0.55, 0.75, 0.95], 400)
        right = RNG.random(400) < chance - 0.15
        low, high = calibration_interval(chance, right, resamples=500)
        held += low <= 0.15 <= high
    assert held / 200 > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 200)


@pytest.mark.parametrize("grouped", [False, True])
def test_log_loss_has_the_interval_of_resampling_image_by_image(grouped: bool) -> None:
    losses = RNG.exponential(size=(3, 150))
    groups = RNG.integers(0, 30, 150)
    units = [np.flatnonzero(groups == g) for g in np.unique(groups)]
    if grouped:
        drawn = [
            losses[:, np.concatenate([units[i] for i in RNG.integers(0, len(units), len(units))])]
            .mean() for _ in range(4000)
        ]  # fmt: skip
        expected = np.quantile(drawn, [0.025, 0.975])
        ours = log_loss_interval(losses, groups, method="percentile")
    else:
        theirs = stats.bootstrap((losses.mean(0),), np.mean, n_resamples=20_000, rng=1)
        expected = np.array(theirs.confidence_interval)
        ours = log_loss_interval(losses)
    assert ours == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    assert ours.low < losses.mean() < ours.high


def test_accuracy_of_one_run_has_wilsons_interval() -> None:
    right = RNG.random(80) < 0.9
    assert accuracy_interval(one_run(right)) == wilson_interval(right.mean(), 80)


def test_where_all_units_agree_the_interval_is_still_wide() -> None:
    right = np.ones(60, dtype=bool)
    groups = np.repeat(np.arange(6), 10)
    assert accuracy_interval(one_run(right), groups) == wilson_interval(1.0, 6)
    seeds = Seeded(np.ones((3, 60), dtype=bool), (0, 1, 2))
    assert accuracy_interval(seeds) == wilson_interval(1.0, 60)
    assert accuracy_interval(one_run(right), np.zeros(60)) == wilson_interval(1.0, 1)


def test_seeds_that_differ_lengthen_the_interval_and_equal_ones_do_not() -> None:
    right = RNG.random(400) < 0.8
    same = Seeded(np.stack([right] * 3), (0, 1, 2))
    low, high = wilson_interval(float(right.mean()), 400)
    assert accuracy_interval(same) == pytest.approx((low, high), abs=0.006)
    apart = np.stack([right, RNG.random(400) < 0.7, RNG.random(400) < 0.9])
    wide = accuracy_interval(Seeded(apart, (0, 1, 2)))
    assert wide.high - wide.low > 3 * (high - low)


def test_options_are_checked() -> None:
    with pytest.raises(UsageError, match="expected bca or percentile"):
        bootstrap_interval(np.ones((1, 1)), np.ones(1, int), lambda s: s[:, 0], method="x")
    with pytest.raises(UsageError, match="expected balanced_accuracy, macro_f1"):
        metric_interval("f2", [1], [[1]])
    with pytest.raises(UsageError, match="expected one a run"):
        Seeded(np.ones((2, 3), dtype=bool), (1, 1))
