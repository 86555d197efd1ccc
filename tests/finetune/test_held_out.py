"""Data without val images, classes with one image, blocks that there are not: what is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featbench.datasets import Dataset, load_dataset
from featbench.errors import UsageError
from featbench.finetune import FineTuneClassifier, hold_out
from tests.conftest import Notes, make_photos

HELD_OUT = "are held out, to choose the epoch or to stop by"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("h") / "p", {"train": 10, "test": 4})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 2, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        ({}, True), ({"refit": True}, True), ({"select": "last", "patience": 1}, True),
        ({"patience": 1}, True), ({"select": "last"}, False),
    ],
)  # fmt: skip
def test_how_many_images_are_held_out_is_said_where_any_are(
    options: dict[str, Any], holds: bool, data: Dataset, tmp_path: Path
) -> None:
    notes = Notes()
    model = tune(data, tmp_path, blocks=0, reporter=notes, **options)
    said = [line for line in notes.lines if HELD_OUT in line]
    expected = f"p: has no val images: {model.n_val_} of 30 train images {HELD_OUT}"
    assert said == ([expected] if holds else [])
    assert len(model.inputs_.dataset.train) == (30 if "refit" in options else 30 - model.n_val_)


def test_of_a_source_with_val_nothing_is_held_out(data: Dataset) -> None:
    notes = Notes()
    divided = hold_out(data, 0, notes)
    assert hold_out(divided, 0, notes) is divided
    assert len(notes.lines) == 1


def test_a_class_whose_only_image_is_held_out_is_named(data: Dataset, tmp_path: Path) -> None:
    labels = data.train.labels
    one = [*np.flatnonzero(labels != 1), np.flatnonzero(labels == 1)[0]]
    few = data.with_splits({**data.splits, "train": data.train.take(one)})
    told: dict[bool, int] = {False: 0, True: 0}
    for seed in range(12):
        notes = Notes()
        divided = hold_out(few, seed, notes)
        lost = 1 not in divided.train.labels
        told[lost] += 1
        assert [
            line for line in notes.lines if "every train image of rust is held out" in line
        ] == (notes.lines[1:] if lost else [])
        assert len(notes.lines) == (2 if lost else 1)
    assert min(told.values()) > 0
    model = tune(few, tmp_path, blocks=0, select="last", class_weight="balanced")
    assert model.predict_proba(data.test).shape == (12, 3)  # it trains with the one


def test_one_image_in_all_says_what_is_needed(data: Dataset, tmp_path: Path) -> None:
    for count in (1, 2):
        few = data.with_splits({**data.splits, "train": data.train.take([0, 10][:count])})
        with pytest.raises(UsageError, match=r"too few images to train on .* needs two classes"):
            tune(few, tmp_path, blocks=0)
    assert len(tune(few, tmp_path, blocks=0, select="last").history_) == 2


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ("fc9", "did you mean 'fc2'"), ("al", "did you mean 'all'"),
        ("classifier", "or 0 (the classifier alone), 1, …, all"), ("-1", "Blocks: conv1, conv2"),
        (9, "lenet5 has 4 blocks: conv1, conv2, fc1, fc2; or use all"),
    ],
)  # fmt: skip
def test_blocks_that_there_are_not_name_those_that_there_are(
    blocks: int | str, expected: str, data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as told:
        tune(data, tmp_path, blocks=blocks)
    assert expected in str(told.value)
