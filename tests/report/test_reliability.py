"""Calibration diagrams agree with the results' calibration errors, before and after."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featbench.experiments import PredictionTable, ResultStore, load_predictions
from featbench.report import draw_reliability, reliability, reliability_lines
from tests.conftest import Said
from tests.report.test_report import result

Command = Callable[..., Said]


def test_a_worked_example() -> None:
    found = reliability([0.95, 1.0, 0.99, 0.5, 0.51, 0.0], [1, 1, 0, 1, 0, 0])
    assert found.counts.tolist() == [1, 2, 3]
    assert found.accuracy.tolist() == pytest.approx([0, 0.5, 2 / 3])
    assert found.confidence.tolist() == pytest.approx([0, 0.505, 0.98])
    assert found.edges.tolist() == pytest.approx([0, 7 / 15, 14 / 15])
    assert found.error == pytest.approx((2 * 0.005 + 3 * (0.98 - 2 / 3)) / 6)


def test_the_legend_has_each_run_its_error_and_what_it_was_before() -> None:
    one = PredictionTable(("1", "2"), ("a", "b"), ("a", "a"), (0.9, 0.7), None, (0.99, 0.95))
    other = PredictionTable(("1", "2"), ("a", "b"), ("a", "b"), (0.9, 0.9))
    bare = PredictionTable(("1", "2"), ("a", "b"), ("a", "b"))
    lines = reliability_lines([(result(), one), (result(2, method="mlp"), other),
                               (result(3), bare)])  # fmt: skip
    assert [line.label for line in lines] == ["logreg", "mlp"]
    figure = draw_reliability(lines)
    marks = dict.fromkeys(map(ord, "\u200e\u2068\u2069"))  # so that a Hebrew name turns nothing
    texts = [t.get_text().translate(marks) for t in figure.legends[0].get_texts()]
    assert texts == [
        "confidence = accuracy", "logreg: ECE 40.0%", "logreg, before calibration: ECE 47.0%",
        "mlp: ECE 10.0%",
    ]  # fmt: skip
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle())
             for line in figure.axes[0].lines if "ECE" in str(line.get_label())}  # fmt: skip
    assert len(looks) == 3


def test_a_calibrated_run_is_drawn_with_the_errors_that_its_result_has(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    fit = ("fit", "--backbone", "lenet5", "--data", photos, "--json")
    said = featbench(*fit, "--head", "logreg", "--set", "calibrate=temperature")
    (kept,) = json.loads(said.out) if said.out.startswith("[") else [json.loads(said.out)]
    store = ResultStore(tmp_path / "results")
    run = store.get(kept["run_id"])
    assert run.source == str(photos)
    table = load_predictions(store, run)
    assert table is not None
    assert table.uncalibrated is not None
    (line,) = reliability_lines([(run, table)])
    assert line.before is not None
    assert line.after.error == pytest.approx(run.test_ece, abs=2e-6)
    assert line.before.error == pytest.approx(run.test_ece_uncalibrated, abs=2e-6)
    drawn = featbench("plot", "reliability", run.run_id, "-o", "r.svg")
    assert drawn.code == 0, drawn.err
    assert "before calibration" in (tmp_path / "r.svg").read_text()
    confusion = featbench("plot", "confusion", run.run_id[:5])
    assert confusion.out == f"{tmp_path / 'confusion.png'}\n"


def test_a_method_without_probabilities_is_told_what_to_do(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    featbench("fit", "--backbone", "lenet5", "--data", photos, "--head", "svm-linear")
    (run,) = (tmp_path / "results").glob("*/")
    for arguments, said in [
        (("reliability", run.name), "calibrate=temperature"),
        (("reliability",), "name a run"),
        (("confusion", "beef"), "no run with an id"),
        (("speed", "nowhere"), "no finished runs"),
        (("speed", "results", "--cost", "money"), "expected images_per_second"),
        (("predictions", run.name, "--data", "digits"), "is not what run"),
        (("predictions", run.name, "-o", "x.bmp"), "ends in .png"),
    ]:
        refused = featbench("plot", *arguments)
        assert refused.code == 2, (arguments, refused.err)
        assert said in refused.err, refused.err


def test_bins_hold_everything_from_no_to_full_confidence() -> None:
    chances = np.linspace(0, 1, 301)
    assert reliability(chances, chances > 0.5).counts.sum() == 301
