"""Weights of classes that are named: heads know labels, results say what was asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featbench.errors import UsageError
from featbench.experiments import Result, Run, Selection, Session
from featbench.heads import HEADS, create_head, load_head

CLASSES = ("cat", "dog", "eel")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write rows of three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(180) % 3
    X = rng.normal(size=(180, 6))
    X[np.arange(180), y] += 1.0
    side = np.repeat(["train", "test"], [120, 60])
    np.savez(tmp_path / "animals.npz", X=X, y=np.array(CLASSES)[y], split=side)
    return tmp_path / "animals.npz"


def run(file: Path, weights: Any, head: str = "logreg", tune: int = 0) -> tuple[Result, Path]:
    results = file.parent / "results"
    asked = Run(features=str(file), head=head, settings={"class_weight": weights},
                selection=Selection(tune))  # fmt: skip
    result = Session(cache=file.parent / "cache", results=results).run(asked)
    return result, results / result.run_id


@pytest.mark.parametrize("name", HEADS)
def test_every_head_takes_weights_by_name(name: str, file: Path) -> None:
    few, _ = run(file, {"dog": 0.01}, name)
    many, folder = run(file, {"dog": 100.0}, name)
    assert load_head(folder / "model").get_params()["class_weight"] == {1: 100.0}

    def named(result: Result) -> int:
        table = folder.parent / result.run_id / "predictions.csv"
        return sum(line.split(",")[2] == "dog" for line in table.read_text().splitlines())

    assert named(few) < named(many)


@pytest.mark.parametrize("tune", [0, 2])
def test_a_result_says_what_was_asked_for(tune: int, file: Path) -> None:
    by_name, folder = run(file, {"dog": 2.0}, "svm-linear", tune)
    by_number, _ = run(file, {1: 2.0}, "svm-linear", tune)
    assert by_name.run_id != by_number.run_id
    assert by_name.settings["class_weight"] == by_name.given["class_weight"] == {"dog": 2.0}
    assert [line["settings"]["class_weight"] for line in by_name.ledger] == [{"dog": 2.0}] * tune
    stored = Result.model_validate_json((folder / "result.json").read_bytes())
    assert stored == by_name
    assert by_number.settings["class_weight"] == {"1": 2.0}
    assert by_name.test_accuracy == by_number.test_accuracy


def test_what_is_no_class_is_refused_before_any_work(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "_rows", None)
    with pytest.raises(UsageError, match=r"animals\.npz: has no class 'dgo'; did you mean 'dog'"):
        run(file, {"dgo": 2.0})


def test_a_class_without_training_rows_has_no_weight(file: Path) -> None:
    with np.load(file) as old:
        arrays = dict(old)
    arrays["split"] = np.where(arrays["y"] == "eel", "test", arrays["split"])
    np.savez(file, **arrays)
    with pytest.raises(UsageError, match="class 'eel' has no training row"):
        run(file, {"eel": 2.0})


@pytest.mark.parametrize("weights", [{3: 2.0}, {"cat": 2.0, 7: 0.0}, "balanced"])
@pytest.mark.parametrize("name", HEADS)
def test_weights_are_tried_before_labels_are_known(name: str, weights: Any) -> None:
    if name in ("knn", "centroid") and weights != "balanced":
        weights = {key: value + 1 for key, value in weights.items()}
    assert create_head(name, class_weight=weights).get_params()["class_weight"] == weights


@pytest.mark.parametrize("weights", [{3: -1.0}, {3: "much"}, {3: float("nan")}, "even", 5])
@pytest.mark.parametrize("name", HEADS)
def test_weights_that_cannot_be_are_refused_at_once(name: str, weights: Any) -> None:
    with pytest.raises(UsageError, match="class_weight="):
        create_head(name, class_weight=weights)
