"""All methods of a data set: what is compared, what is refused, and what is said of it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from featbench.errors import UsageError
from featbench.statistics import (
    Method,
    MethodRun,
    Seeded,
    compare,
    holm,
    log_loss_interval,
    mcnemar,
    metric_interval,
    paired_p_value,
    wilson_interval,
)

RNG = np.random.default_rng(3)
N = 400
IDS = [f"image {i}" for i in range(N)]
LABELS = RNG.integers(0, 5, N).tolist()
HARD = RNG.random(N)


def run(share: float, seed: int = 0, groups: Sequence[str] | None = None) -> MethodRun:
    wrong = HARD + RNG.normal(0, 0.05, N) > share
    return MethodRun(seed, IDS, LABELS, [y + w for y, w in zip(LABELS, wrong, strict=True)], groups)


def right(one: MethodRun) -> np.ndarray:
    return np.array(one.labels) == np.array(one.predicted)


def test_the_whole_of_it_for_single_runs() -> None:
    runs = {"low": run(0.6), "best": run(0.9), "near": run(0.895)}
    found = compare([Method(name, [one]) for name, one in runs.items()], resamples=500)
    low, best, near = found.standings
    assert best.accuracy == right(runs["best"]).mean()
    assert best.interval == pytest.approx(wilson_interval(best.accuracy, N))
    assert (best.letters, near.letters, low.letters) == (("a",), ("a",), ("b",))
    assert found.ranking[-1] == 0
    rights = [right(one) for one in runs.values()]
    raw = [
        mcnemar(int((rights[a] & ~rights[b]).sum()), int((rights[b] & ~rights[a]).sum()))
        for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    matrix = found.p_values
    assert [matrix[0, 1], matrix[0, 2], matrix[1, 2]] == pytest.approx(holm(raw))
    assert (matrix == matrix.T).all()
    assert matrix.diagonal().tolist() == [1, 1, 1]
    assert found.notes == (
        "95% intervals: Wilson's.",
        "Methods that share a letter are not told apart at 5%: McNemar's test (mid-p), Holm's "
        "correction over all pairs.",
    )


def test_order_of_images_tells_nothing() -> None:
    a, b = run(0.7), run(0.8)
    turned = MethodRun(0, b.ids[::-1], b.labels[::-1], b.predicted[::-1])
    straight = compare([Method("a", [a]), Method("b", [b])])
    assert (compare([Method("a", [a]), Method("b", [turned])]).p_values == straight.p_values).all()


def test_only_images_that_all_answered_are_compared_and_that_is_said() -> None:
    a, b = run(0.7), run(0.8)
    short = MethodRun(0, b.ids[3:], b.labels[3:], b.predicted[3:])
    found = compare([Method("a", [a]), Method("b", [short])])
    assert found.n_images == N - 3
    assert [one.n_left_out for one in found.standings] == [3, 0]
    assert found.standings[0].accuracy == right(a)[3:].mean()
    assert found.notes[0] == (
        "Compared on the 397 test images that all methods answered; left out: a 3."
    )


def test_methods_of_different_data_are_refused() -> None:
    a, b = run(0.7), run(0.8)
    with pytest.raises(UsageError, match="a and b were measured on different data"):
        compare([Method("a", [a], "1"), Method("b", [b], "2")])
    other = MethodRun(0, [name + "!" for name in IDS], LABELS, b.predicted)
    with pytest.raises(UsageError, match="no test image in common"):
        compare([Method("a", [a]), Method("b", [other])])
    relabelled = MethodRun(0, IDS, LABELS[::-1], b.predicted)
    with pytest.raises(UsageError, match="two labels"):
        compare([Method("a", [a]), Method("b", [relabelled])])
    with pytest.raises(UsageError, match="other groups"):
        compare([Method("a", [run(0.5, 0, ["x"] * N)]), Method("b", [run(0.5, 0, ["y"] * N)])])
    twice = MethodRun(0, ["x", "x"], [1, 1], [1, 1])
    with pytest.raises(UsageError, match="answered twice"):
        compare([Method("a", [twice])])
    with pytest.raises(UsageError, match="has no run"):
        compare([Method("a", [])])
    with pytest.raises(UsageError, match="no method"):
        compare([])
    with pytest.raises(UsageError, match="none twice"):
        compare([Method("a", [a, a])])


def test_groups_make_tests_and_intervals_honest() -> None:
    """Forty copies of ten images: what each image alone would tell apart, groups do not."""
    groups = [str(i % 10) for i in range(N)]
    first = [i % 10 < 9 for i in range(N)]
    second = [i % 10 < 6 for i in range(N)]
    labels = [1] * N

    def both(of: Sequence[str] | None) -> list[Method]:
        return [
            Method(name, [MethodRun(0, IDS, labels, [int(x) for x in answers], of)])
            for name, answers in (("first", first), ("second", second))
        ]

    alone, grouped = compare(both(None)), compare(both(groups))
    assert alone.p_values[0, 1] < 1e-20
    assert grouped.p_values[0, 1] == pytest.approx(0.25)  # three groups against none
    assert grouped.n_groups == 10
    assert grouped.standings[1].interval.low < 0.4
    assert alone.standings[1].interval.low > 0.54
    assert "bootstrap of 10 groups" in grouped.notes[0]
    assert "sign flips by group (exact)" in grouped.notes[1]
    assert compare(both(IDS)).n_groups is None


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "too few for any test"), (3, "too few for any test"), (15, "to be trusted."), (20, "")],
)
def test_few_groups_are_told(count: int, said: str) -> None:
    groups = [f"patient {i % count}" for i in range(N)]
    methods = [Method(str(share), [run(share, 0, groups)]) for share in (0.9, 0.5)]
    found = compare(methods, resamples=200)
    told = [note for note in found.notes if "too few" in note]
    assert len(told) == bool(said)
    assert said in "".join(told)
    if "any test" in said:
        assert found.p_values.min() >= found.alpha
    assert f"{count} group{'s' * (count > 1)} (" in found.notes[0]


def test_a_run_from_before_groups_were_kept_takes_the_others() -> None:
    groups = [str(i // 4) for i in range(N)]
    found = compare([Method("old", [run(0.7)]), Method("new", [run(0.8, 0, groups)])])
    assert found.n_groups == N // 4


def test_several_seeds_beside_one() -> None:
    many = [run(0.8, seed) for seed in (0, 1, 2)]
    one = run(0.7)
    found = compare([Method("many", many), Method("one", [one])], resamples=500)
    rights = np.stack([right(r) for r in many])
    p = paired_p_value(Seeded(rights, (0, 1, 2)), Seeded(right(one)[None], (0,)))
    assert found.p_values[0, 1] == p
    assert found.standings[0].accuracy == rights.mean()
    assert found.standings[0].seeds == (0, 1, 2)
    assert any("paired seed by seed" in note for note in found.notes)
    assert "another seed would change is not counted" in found.notes[-1]


def test_one_method_alone() -> None:
    found = compare([Method("a", [run(0.7)])])
    assert found.standings[0].letters == ("a",)
    assert found.p_values.tolist() == [[1.0]]
    assert found.notes == ("95% intervals: Wilson's.",)


def test_other_metrics_have_intervals_where_they_are_asked_for() -> None:
    patients = [f"patient {i // 20}" for i in range(N)]
    losses = np.round(RNG.exponential(size=(2, N)), 6)

    def method(name: str, groups: list[str] | None, *of_seeds: int) -> Method:
        runs = [replace(run(0.8, seed, groups), losses=losses[seed].tolist()) for seed in of_seeds]
        return Method(name, runs)

    bare = Method("bare", [run(0.7)])
    alone = method("a", None, 0)
    found = compare([alone, bare], resamples=500)
    assert found.standings[0].intervals == {}
    asked = ["balanced_accuracy", "log_loss"]
    one, without = compare([alone, bare], resamples=500, intervals=asked).standings
    assert one.intervals["log_loss"] == log_loss_interval([losses[0]], resamples=500)
    said = alone.runs[0].predicted
    expected = metric_interval("balanced_accuracy", LABELS, [said], resamples=500)
    assert one.intervals["balanced_accuracy"] == expected
    assert set(without.intervals) == {"balanced_accuracy"}
    grouped = compare([method("a", patients, 0, 1)], resamples=500, intervals=["log_loss"])
    (both,) = grouped.standings
    assert both.intervals["log_loss"] == log_loss_interval(losses, patients, resamples=500)
    assert grouped.notes[-1] == (
        "95% intervals of log-loss: BCa bootstrap of 20 groups (500 resamples, seed 0); of these "
        "runs, other seeds are not counted."
    )
    fewer = replace(bare.runs[0], ids=IDS[:300], labels=LABELS[:300],
                    predicted=bare.runs[0].predicted[:300])  # fmt: skip
    part = compare([alone, Method("b", [fewer])], resamples=500, intervals=asked)
    expected = log_loss_interval([losses[0][:300]], resamples=500)
    assert part.standings[0].intervals["log_loss"] == expected
