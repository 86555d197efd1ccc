"""Refitting: so many epochs on train and val, from the same start, of the same course."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featbench.datasets import Dataset, load_dataset
from featbench.errors import UsageError
from featbench.extraction import extract
from featbench.finetune import FineTuneClassifier, Schedule
from featbench.finetune._refit import first_epochs
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
