"""Quality of a run in numbers: against scikit-learn, and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from featbench.experiments import Predictions, _metrics
from tests.experiments.test_session import head_run, session


def test_metrics_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    chances = rng.dirichlet(np.ones(4), 300)
    chances[np.arange(300), labels] += 0.4
    chances /= chances.sum(1, keepdims=True)
    predicted = chances.argmax(1)
    got = _metrics.measure(Predictions([""] * 300, labels, predicted, chances), "test")
    assert got["test_accuracy"] == (labels == predicted).mean()
    assert got["test_balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels, predicted)
    )
    assert got["test_macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert got["test_log_loss"] == pytest.approx(log_loss(labels, chances))
    bare = _metrics.measure(Predictions([""] * 300, labels, predicted), "test")
    assert bare["test_log_loss"] is None
    assert got["test_log_loss_uncalibrated"] is None
    assert got["test_ece_uncalibrated"] is None


def test_metrics_before_calibration_are_of_the_probabilities_before_it() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    after, before = rng.dirichlet(np.ones(4), (2, 300))
    predicted = after.argmax(1)
    got = _metrics.measure(Predictions([""] * 300, labels, predicted, after, before), "val")
    assert got["val_log_loss"] == pytest.approx(log_loss(labels, after))
    assert got["val_log_loss_uncalibrated"] == pytest.approx(log_loss(labels, before))
    confidence = before[np.arange(300), predicted]
    error = _metrics.calibration_error(confidence, predicted == labels)
    assert got["val_ece_uncalibrated"] == pytest.approx(error)


@pytest.mark.parametrize("head", ["svm-poly", "logreg"])
def test_a_calibrated_run_says_how_good_probabilities_are_before_and_after(
    head: str, photos: Path, tmp_path: Path
) -> None:
    here = session(tmp_path)
    plain = here.run(head_run(photos, head=head))
    result = here.run(head_run(photos, head=head, settings={"calibrate": "temperature"}))
    assert plain.test_log_loss_uncalibrated is None
    assert result.run_id != plain.run_id
    assert result.test_accuracy == plain.test_accuracy
    for value in (result.test_log_loss, result.test_log_loss_uncalibrated, result.test_ece,
                  result.test_ece_uncalibrated, result.train_log_loss_uncalibrated):  # fmt: skip
        assert value is not None
    assert result.test_log_loss != result.test_log_loss_uncalibrated
    if head == "logreg":
        assert result.test_log_loss_uncalibrated == plain.test_log_loss
    predictions = pd.read_csv(tmp_path / "results" / result.run_id / "predictions.csv")
    right = predictions["label"] == predictions["predicted"]
    error = _metrics.calibration_error(predictions["confidence"].to_numpy(), right.to_numpy())
    assert error == pytest.approx(result.test_ece, abs=1e-5)


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    assert _metrics.calibration_error(confidence, right) == pytest.approx((0.1 + 0.1) / 4)
    assert _metrics.calibration_error(np.ones(5), np.ones(5, bool)) == 0
