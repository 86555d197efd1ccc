"""Accuracy against cost: seeds are one method, the front is what no other one beats."""

from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import ResultStore
from featbench.report import draw_speed
from featbench.report._drawing import isolated
from featbench.report._speed import costed, pareto_front
from tests.conftest import Said
from tests.report.test_report import result

Command = Callable[..., Said]


def runs() -> list:
    return [
        result(1, images_per_second=100, test_accuracy=0.9),
        result(2, images_per_second=300, test_accuracy=0.8, seed=1),
        result(3, images_per_second=150, test_accuracy=0.7, method="knn"),
        result(4, images_per_second=900, test_accuracy=0.5, network="cnn"),
        result(5, images_per_second=900, test_accuracy=0.4, network="mlp"),
        result(6, test_accuracy=1.0, network="no rate"),
        result(7, status="failed", test_accuracy=None, images_per_second=9.0),
    ]


def test_the_front_both_ways() -> None:
    methods = costed(runs(), "images_per_second")
    assert [(m.accuracy, m.cost) for m in methods] == [
        (pytest.approx(0.85), 200), (0.7, 150), (0.5, 900), (0.4, 900),
    ]  # fmt: skip
    front = pareto_front(methods, less_is_better=False)
    assert [m.result.run_id[-1] for m in front] == ["1", "4"]
    front = pareto_front(methods, less_is_better=True)
    assert [m.result.run_id[-1] for m in front] == ["1", "3"]


def test_numbers_of_close_points_do_not_cover_each_other_and_are_named_below() -> None:
    close = [result(i, fit_seconds=1 + i / 500, test_accuracy=0.9 + i / 2000, network=f"n{i}")
             for i in range(12)]  # fmt: skip
    figure = draw_speed([*close, result(99, dataset="other", fingerprint="g")], "fit_seconds")
    figure.draw_without_rendering()
    first, second = figure.axes
    boxes = [t.get_window_extent() for t in first.texts]
    assert len(boxes) >= 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert f"12  90.0%, 1 s: {isolated('n0')}" in first.get_xlabel()
    assert [a.get_title(loc="left") for a in (first, second)] == ["photos", "other"]


def test_what_learned_from_other_sizes_is_a_panel_of_its_own() -> None:
    few = {"n_train": 800, "n_val": 200}
    drawn = result(1, fit_seconds=0.1, test_accuracy=0.8, sample=few)
    figure = draw_speed([drawn, result(2, fit_seconds=1.0, test_accuracy=0.9)], "fit_seconds")
    titles = [a.get_title(loc="left") for a in figure.axes]
    assert titles == ["photos, 800 to train on, 200 to choose on", "photos"]


def test_few_labels_have_a_picture_of_their_own(featbench: Command, tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for shots in (1, 5):
        store.save(result(shots, fit_seconds=0.1, sample={"shots": shots}))
    said = featbench("plot", "speed", "--cost", "fit_seconds", "-o", "speed.svg")
    assert said.code == 2
    assert "only few-shot runs; featbench plot fewshot draws them" in said.err
    store.save(result(9, fit_seconds=0.1))
    assert featbench("plot", "speed", "--cost", "fit_seconds", "-o", "speed.svg").code == 0
    assert (tmp_path / "speed.svg").exists()


def test_no_axis_goes_beyond_all_right() -> None:
    methods = [result(i, fit_seconds=i, test_accuracy=1.0, network=f"n{i}") for i in (1, 2)]
    figure = draw_speed(methods, "fit_seconds")
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim()[1] <= 101


def test_a_cost_that_nothing_has_is_told() -> None:
    with pytest.raises(UsageError, match="no result has parameters_trainable"):
        draw_speed([result()], "parameters_trainable")
    with pytest.raises(UsageError, match="expected images_per_second, fit_seconds"):
        draw_speed([result()], "money")
