"""Refitting: so many epochs on train and val, from the same start, of the same course."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featbench.datasets import Dataset, load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction import extract
from featbench.finetune import FineTuneClassifier, Schedule
from featbench.finetune import _checkpoint as checkpoints
from featbench.finetune._refit import first_epochs
from featbench.finetune._trainer import Trainer
from featbench.heads import create_head
from featbench.networks import create_network
from tests.conftest import make_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("r") / "p", {"train": 12, "val": 6, "test": 6})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


def together(data: Dataset) -> Dataset:
    """Return the data with val's images in train, and no val."""
    train, val = data.splits["train"], data.splits["val"]
    return data.with_splits({"train": train + val, "test": data.test})


@pytest.mark.parametrize("rows", [{}, {"augment": "flip+rotate:10", "copies": "rotate:5"}])
@pytest.mark.parametrize("blocks", ["all", 1])
def test_it_is_a_training_of_so_many_epochs_on_train_and_val(
    data: Dataset, tmp_path: Path, blocks: int | str, rows: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"blocks": blocks, "dropout": 0.3, "class_weight": "balanced", **rows}
    chosen = tune(data, tmp_path, epochs=4, **options)
    refitted = tune(data, tmp_path, epochs=4, refit=True, **options)
    assert refitted.best_epoch_ == chosen.best_epoch_
    assert [r["val_loss"] for r in refitted.history_] == [r["val_loss"] for r in chosen.history_]
    assert (len(refitted.inputs_.dataset.train), refitted.n_val_) == (54, 18)
    assert "val" not in refitted.inputs_.dataset.splits
    plain = tune(together(data), tmp_path, epochs=chosen.best_epoch_, select="last", **options)
    expected = plain.predict_proba(data.test)
    np.testing.assert_array_equal(refitted.predict_proba(data.test), expected)
    assert not np.array_equal(chosen.predict_proba(data.test), expected)


def test_it_starts_from_the_same_warm_start(data: Dataset, tmp_path: Path) -> None:
    rows = extract(data, create_network("lenet5", "random"), cache=tmp_path)
    head = create_head("logreg").fit(rows.train.X, rows.train.y)
    model = tune(data, tmp_path, epochs=2, refit=True, warm_start=head, lr=1e-12)
    before = head.predict_proba(rows.test.X)
    np.testing.assert_allclose(model.predict_proba(data.test), before, atol=1e-3)  # 16 bits


def test_rates_are_those_of_the_whole_course() -> None:
    whole = Schedule(epochs=10, schedule="cosine", warmup_epochs=4, refit=True)
    short = first_epochs(whole, 3)
    assert (short.epochs, short.select, short.needs_validation) == (3, "last", False)
    assert [short.rate(s, 5) for s in range(15)] == [whole.rate(s, 5) for s in range(15)]
    assert short.rate(2, 5, 0.5) == whole.rate(2, 5, 0.5)


def test_without_selection_there_is_nothing_to_refit() -> None:
    with pytest.raises(UsageError, match="refit=True goes with select=val_loss"):
        Schedule(refit=True, select="last")
    with pytest.raises(UsageError, match="refit='yes'"):
        Schedule(refit="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("course", [{"schedule": "cosine"}, {"schedule": "step", "step_epochs": 1}])
def test_its_rates_begin_anew(data: Dataset, tmp_path: Path, course: dict[str, Any]) -> None:
    options: dict[str, Any] = {"epochs": 3, "blocks": "all", "lr": 1e-4, **course}
    model = tune(data, tmp_path, refit=True, **options)
    assert model.best_epoch_ == 3  # so that the whole course is gone through again
    plain = tune(together(data), tmp_path, select="last", **options)
    expected = plain.predict_proba(data.test)
    np.testing.assert_array_equal(model.predict_proba(data.test), expected)


@pytest.mark.parametrize("at_once", [True, False])
def test_interrupted_it_goes_on_to_the_same_end(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0 if at_once else 60.0)
    monkeypatch.setattr(checkpoints, "_SHARE", 0)
    options: dict[str, Any] = {"blocks": 1, "epochs": 3, "refit": True, "dropout": 0.3,
                               "augment": "flip+rotate:10", "schedule": "cosine"}  # fmt: skip
    undisturbed = tune(data, tmp_path, **options)
    assert undisturbed.best_epoch_ == 3
    epochs: list[tuple[bool, int]] = []
    whole = Trainer._epoch

    def watched(self: Trainer, *arguments: Any) -> Any:
        epochs.append((not arguments[3].refit, arguments[4]))
        if epochs[-1] == (True, 3) and epochs.count((True, 3)) == 1:
            raise KeyboardInterrupt
        return whole(self, *arguments)

    monkeypatch.setattr(Trainer, "_epoch", watched)
    with pytest.raises(KeyboardInterrupt):
        tune(data, tmp_path, checkpoint=tmp_path / "kept", **options)
    epochs.clear()
    epochs.append((True, 3))
    model = tune(data, tmp_path, checkpoint=tmp_path / "kept", **options)
    assert [e for again, e in epochs[1:] if again] == [3]
    assert [e for again, e in epochs[1:] if not again] == ([] if at_once else [1, 2, 3])
    assert model.seconds_before_ > 0
    expected = undisturbed.predict_proba(data.test)
    np.testing.assert_array_equal(model.predict_proba(data.test), expected)


@pytest.mark.parametrize("at_once", [True, False])
def test_one_that_diverges_says_so_and_leaves_nothing_of_either_training(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(checkpoints, "EVERY", 0.0 if at_once else 60.0)
    monkeypatch.setattr(checkpoints, "_SHARE", 0)
    whole, folder = Trainer._epoch, tmp_path / "run" / "kept"
    there: list[bool] = []

    def diverging(self: Trainer, *arguments: Any) -> Any:
        if not arguments[3].refit and arguments[4] == 2:
            there.append((folder / checkpoints.FILE).exists())
            self._prepare = lambda batch: batch.float().permute(0, 3, 1, 2) * torch.nan
        return whole(self, *arguments)

    how: dict[str, Any] = {"blocks": "all", "epochs": 2, "lr": 1e-4, "checkpoint": folder}
    with monkeypatch.context() as inner:
        inner.setattr(Trainer, "_epoch", diverging)
        match = r"refit, training anew on train and val: .* epoch 2, batch 1: .*try a lower lr"
        with pytest.raises(FeatbenchError, match=match):
            tune(data, tmp_path, refit=True, **how)
    assert there == [at_once]
    assert not (tmp_path / "run").exists()
    assert tune(data, tmp_path, refit=True, **how).resumed_after_ == 0


def test_views_of_val_cost_what_they_take_and_no_more(data: Dataset, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 1, "augment": "flip", "views": 2}
    for number, blocks in enumerate((1, "all")):
        chosen = tune(data, tmp_path / f"{number}a", blocks=blocks, **options)
        model = tune(data, tmp_path / f"{number}b", blocks=blocks, refit=True, **options)
        first, second = chosen.inputs_.costs, model.inputs_.costs
        if blocks == 1:  # two views of each of val's images; their own rows were there
            assert first["rows_computed"] == 36 + 18 + 18 + 2 * 36
            assert second["rows_computed"] == first["rows_computed"] + 2 * 18
            assert second["rows_cached"] == first["rows_cached"] == 0
        assert model.inputs_.seconds_each > 0
        assert len(model.inputs_.training or ()) == 54
