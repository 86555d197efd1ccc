"""What is held in memory is counted first; what has no room is had another way, to the same end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featbench.datasets import Dataset, load_dataset
from featbench.errors import FeatbenchError
from featbench.finetune import DecodedSplits, FineTuneClassifier, _budget, _undecoded
from featbench.finetune._trainer import Trainer
from featbench.finetune._undecoded import Undecoded
from featbench.machine import ahead
from featbench.networks import create_network
from tests.conftest import Notes, make_photos
from tests.finetune.test_prefix import end_of

EACH = 32 * 32  # lenet5's pixels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("m") / "p", {"train": 8, "val": 4, "test": 4})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 2, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


def said(notes: Notes, begin: str) -> list[str]:
    return [line for line in notes.lines if line.startswith(begin)]


WAYS: list[dict[str, Any]] = [
    {"blocks": "all"},
    {"blocks": "all", "refit": True, "normalise": "data"},
    {"blocks": "all", "refit": True, "augment": "random-crop:pad=2+flip", "copies": "rotate:10"},
    {"blocks": 1, "augment": "flip", "views": 0},
    {"network": "cnn:size=32:resize=40", "blocks": "all", "augment": "random-crop"},
]


@pytest.mark.parametrize("how", WAYS)
def test_pictures_without_room_are_decoded_for_each_batch_to_the_same_end(
    how: dict[str, Any], data: Dataset, tmp_path: Path
) -> None:
    notes = Notes()
    held = tune(data, tmp_path, **how)
    other = tune(data, tmp_path, activation_budget=1000, reporter=notes, **how)
    assert not isinstance(held.inputs_.tensors["test"], Undecoded)
    assert {type(rows) for rows in other.inputs_.tensors.values()} == {Undecoded}
    (line,) = said(notes, "decoded pictures: ")
    assert line.endswith(
        "but activation_budget is 1 KB: they are decoded anew for every batch of every epoch, "
        "which is slower; a higher activation_budget holds them"
    )
    assert end_of(held) == end_of(other)
    few = data.test.take([3, 1])
    np.testing.assert_array_equal(other.predict_proba(few), held.predict_proba(few))


def test_the_bytes_of_decoded_pictures_are_said_and_kept_to(data: Dataset, tmp_path: Path) -> None:
    for budget, kind in ((48 * EACH, torch.Tensor), (48 * EACH - 1, Undecoded)):
        notes = Notes()
        model = tune(data, tmp_path, blocks="all", activation_budget=budget, reporter=notes)
        assert isinstance(model.inputs_.tensors["train"], kind)
        (line,) = said(notes, "decoded pictures: 49.2 KB in memory")
        assert ("decoded anew" in line) == (kind is Undecoded)


def test_views_are_cut_from_larger_pictures_and_those_are_counted(
    data: Dataset, tmp_path: Path
) -> None:
    notes = Notes()
    how: dict[str, Any] = {"network": "cnn:size=32:resize=48", "blocks": "all", "epochs": 1,
                           "augment": "random-crop", "reporter": notes}  # fmt: skip
    tune(data, tmp_path, **how)
    whole = (24 * 32**2 + 24 * 48**2) * 3
    assert said(notes, f"decoded pictures: about {whole / 1000:.3g} KB in memory")
    tune(data, tmp_path, refit=True, **how)
    whole += 12 * 48**2 * 3
    assert said(notes, f"decoded pictures: about {whole / 1000:.3g} KB in memory")


def test_without_a_budget_half_of_what_is_free_or_kept_is_it(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [2 * 48 * EACH - 1]
    monkeypatch.setattr(_budget, "free_memory", lambda: free[0])
    notes = Notes()
    model = tune(data, tmp_path, blocks="all", epochs=1, reporter=notes)
    assert isinstance(model.inputs_.tensors["train"], Undecoded)
    assert "half of the free memory allows 49.2 KB: they are decoded anew" in "".join(notes.lines)
    kept = DecodedSplits()
    with kept.in_use():
        for free[0] in (2 * 48 * EACH, 48 * EACH):  # what one training keeps is there for the next
            model = tune(data, tmp_path, blocks="all", epochs=1)
            assert isinstance(model.inputs_.tensors["train"], torch.Tensor)
            assert kept.size == 48 * EACH


def test_broken_ones_are_known_before_the_first_batch(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"train": 8, "val": 2, "test": 4})
    (root / "train" / "moss" / "bad.jpg").write_bytes(b"no image")
    data = load_dataset(root)
    for how in ({}, {"augment": "flip"}):
        model = tune(data, tmp_path / "c", blocks="all", activation_budget=1, epochs=1, **how)
        assert [name for name, _ in model.inputs_.skipped] == ["train/moss/bad.jpg"]
        assert len(model.inputs_.tensors["train"]) == len(model.inputs_.dataset.train) == 24
        assert model.inputs_.costs["extract_seconds"] > 0
        assert model.inputs_.seconds_each == 0  # each is decoded when it is asked about
        with pytest.raises(FeatbenchError, match="cannot be decoded"):
            model.predict(data.train)


@pytest.mark.parametrize("how", [{}, {"augment": "flip"}])
def test_one_that_goes_away_while_it_trains_is_named(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_photos(tmp_path / "p", {"train": 4, "val": 2, "test": 2})
    whole = Trainer._epoch

    def removing(self: Trainer, *arguments: Any) -> Any:
        (root / "train" / "moss" / "moss_002.jpg").unlink(missing_ok=True)
        return whole(self, *arguments)

    monkeypatch.setattr(Trainer, "_epoch", removing)
    with pytest.raises(FeatbenchError, match=r"moss_002\.jpg: can no longer be read .*load the"):
        tune(load_dataset(root), tmp_path / "c", blocks="all", activation_budget=1, **how)


def test_no_more_than_a_few_batches_are_decoded_at_a_time(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []

    def counted(work: Any, steps: Any, most: int, *arguments: Any) -> Any:
        waiting.append(most)
        return ahead(work, steps, most, *arguments)

    monkeypatch.setattr(_undecoded, "ahead", counted)
    rows = Undecoded(data.train, create_network("lenet5").preprocessing)
    assert [len(part) for part in rows.split(10)] == [10, 10, 4]
    assert max(waiting) <= 4


class TestActivationsBeyondFloat16:
    """Weights of mobilenet_v3_small that are random fade: what it gives is 1e-8."""

    HOW: dict[str, Any] = {"network": "mobilenet_v3_small", "blocks": 1, "epochs": 1}  # noqa: RUF012
    BYTES = 48 * 96 * 7 * 7 * 2

    def test_that_they_take_twice_the_memory_is_said(self, data: Dataset, tmp_path: Path) -> None:
        notes = Notes()
        model = tune(data, tmp_path, activation_budget=2 * self.BYTES, reporter=notes, **self.HOW)
        assert model.inputs_.prefix == "cached"
        assert model.inputs_.nbytes == 2 * self.BYTES
        (line,) = said(notes, "some activations are beyond what float16 holds")
        assert line.endswith("in memory they take 903 KB in all")
        half = Notes()
        tune(data, tmp_path, network="lenet5", blocks=1, reporter=half)
        assert not said(half, "some activations")

    @pytest.mark.parametrize("how", [{}, {"refit": True}, {"augment": "flip", "views": 2}])
    def test_over_the_budget_the_plain_way_is_taken_then(
        self, how: dict[str, Any], data: Dataset, tmp_path: Path
    ) -> None:
        notes = Notes()
        rows = 3 if "augment" in how else 1
        budget = self.BYTES * (24 * rows + 24) // 48 * 2 - 1
        model = tune(data, tmp_path, activation_budget=budget, reporter=notes, **self.HOW, **how)
        assert model.inputs_.prefix == "plain"
        (line,) = said(notes, "some activations are beyond what float16 holds")
        assert "but activation_budget is" in line
        assert "the frozen part is run on every batch" in line
        assert model.inputs_.costs["rows_computed"] == 24 * rows + 24  # they are in the store now
        assert model.record()["prefix"] == "plain"
