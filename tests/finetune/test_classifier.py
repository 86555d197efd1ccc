"""What lies above the cut trains; what lies below stays as it is, byte for byte."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featbench.datasets import Dataset, load_dataset, with_validation
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction import extract
from featbench.finetune import FineTuneClassifier
from featbench.heads import create_head
from featbench.networks import create_network
from tests.conftest import make_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("f") / "p", {"train": 16, "val": 6, "test": 8})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 3, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


@pytest.mark.parametrize(
    ("blocks", "cut", "trainable"),
    [(0, "classifier", 3 * 85), (1, "fc2", 10_164 + 255), ("all", "pixels", 61_706 - 595)],
)
def test_the_last_blocks_train_and_no_other(
    blocks: int | str, cut: str, trainable: int, data: Dataset, tmp_path: Path
) -> None:
    model = tune(data, tmp_path, blocks=blocks)
    assert model.cut_ == cut
    assert model.trainable_ == trainable
    start = create_network("lenet5", classes=3).module.state_dict()
    changed = {
        name.split(".")[0]
        for name, tensor in model.network_.module.state_dict().items()
        if not torch.equal(tensor, start[name])
    }
    order = ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert changed == set(order[{0: 4, 1: 3, "all": 0}[blocks] :])


def test_frozen_batch_norm_keeps_its_statistics(data: Dataset, tmp_path: Path) -> None:
    model = tune(data, tmp_path, network="mobilenet_v3_small", blocks=2, epochs=1)
    start = create_network("mobilenet_v3_small", "random", 3).module.state_dict()
    trained = [b.name for b in model.network_.blocks[-2:]]
    for name, tensor in model.network_.module.state_dict().items():
        above = name.startswith((*(f"{b}." for b in trained), "classifier."))
        assert torch.equal(tensor, start[name]) != above or not tensor.is_floating_point(), name


def test_two_runs_are_identical_and_the_seed_decides(data: Dataset, tmp_path: Path) -> None:
    first, again, other = (
        tune(data, tmp_path, blocks="all", seed=s).predict_proba(data.test) for s in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_it_learns_and_keeps_the_best_epoch(data: Dataset, tmp_path: Path) -> None:
    model = tune(data, tmp_path, blocks="all", epochs=12)
    assert model.score(data.test) > 0.8
    assert len(model.history_) == 12
    best = min(model.history_, key=lambda row: row["val_loss"])
    assert model.best_epoch_ == best["epoch"]
    assert data.val is not None
    assert model.score(data.val) == pytest.approx(best["val_accuracy"])
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"} < set(best)


def test_the_last_epoch_needs_no_validation(data: Dataset, tmp_path: Path) -> None:
    alone = data.with_splits({"train": data.train, "test": data.test})
    model = tune(alone, tmp_path, blocks=1, select="last")
    assert model.best_epoch_ == 3
    assert "val_loss" not in model.history_[0]
    watched = tune(data, tmp_path, blocks=1, select="last")  # looks, and chooses nothing by it
    assert "val_loss" in watched.history_[0]
    assert np.array_equal(watched.predict_proba(data.test), model.predict_proba(data.test))


def test_the_frozen_part_runs_once_for_each_image(data: Dataset, tmp_path: Path) -> None:
    first, second = tune(data, tmp_path, blocks=1), tune(data, tmp_path, blocks=1, lr=0.01)
    assert first.inputs_.costs["rows_computed"] == 90
    assert second.inputs_.costs["rows_computed"] == 0
    assert tune(data, tmp_path, blocks="all").inputs_.costs["rows_computed"] == 0


@pytest.mark.parametrize("blocks", [0, 1, "all"])
def test_a_warm_start_begins_with_the_heads_own_predictions(
    blocks: int | str, data: Dataset, tmp_path: Path
) -> None:
    found = extract(with_validation(data), "lenet5", cache=tmp_path)
    head = create_head("logreg", C=1.0).fit(found.train.X, found.train.y)
    model = tune(data, tmp_path, blocks=blocks, warm_start=head, epochs=1, lr=1e-12)
    ours, theirs = model.predict_proba(data.test), head.predict_proba(found.test.X)
    np.testing.assert_allclose(ours, theirs, atol=1e-3 if blocks == 1 else 1e-4)  # 16 bits


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_warm_start_from_a_linear_svm_begins_with_its_labels(
    blocks: int, data: Dataset, tmp_path: Path
) -> None:
    found = extract(with_validation(data), "lenet5", cache=tmp_path)
    head = create_head("svm-linear", strategy="one-vs-rest").fit(found.train.X, found.train.y)
    model = tune(data, tmp_path, blocks=blocks, warm_start=head, epochs=1, lr=1e-12)
    scores = head.decision_function(found.test.X)
    theirs = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(data.test), theirs, atol=1e-3)  # 16 bits


def test_a_head_that_never_saw_a_class_gives_it_no_chance(data: Dataset, tmp_path: Path) -> None:
    found = extract(data, "lenet5", cache=tmp_path)
    seen = found.train.y != 1
    head = create_head("logreg").fit(found.train.X[seen], found.train.y[seen])
    model = tune(data, tmp_path, blocks=0, warm_start=head, epochs=1, lr=1e-12)
    assert model.predict_proba(data.test)[:, 1].max() < 1e-6


def test_broken_images_are_left_out_and_reported(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"train": 8, "test": 4})
    (root / "train" / "moss" / "bad.jpg").write_bytes(b"no image")
    for blocks in (1, "all"):
        model = tune(load_dataset(root), tmp_path / "c", blocks=blocks, epochs=1)
        assert [name for name, _ in model.inputs_.skipped] == ["train/moss/bad.jpg"]
        with pytest.raises(FeatbenchError, match="cannot be decoded"):
            model.predict(load_dataset(root).train)


def test_a_diverging_run_stops_with_the_place_and_advice(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(FeatbenchError, match=r"epoch \d+, batch \d+.*lower lr"):
        tune(data, tmp_path, blocks="all", optimizer="sgd", lr=1e6)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"optimizer": "adamw2"}, "optimizer='adamw2': expected adamw, adam, sgd"),
        ({"select": "test_loss"}, "expected val_loss, val_accuracy, last"),
        ({"epochs": 0}, "epochs=0: expected a whole number from 1 up"),
        ({"lr": "fast"}, "lr='fast': expected a number above 0"),
        ({"layer_decay": 0}, "layer_decay=0: expected"),
        ({"hidden": 64}, "hidden=64: expected a list"),
        ({"amp": 1}, "amp=1: expected true or false"),
        ({"dropout": 1.0}, "dropout=1.0: expected"),
        ({"clip_norm": 0}, "clip_norm=0: expected"),
        ({"loss": "hinge"}, "expected cross-entropy, mse"),
        ({"class_weight": "even"}, "expected balanced, none, or a number"),
        ({"binary": "sigmoid"}, "needs two classes, the data has 3"),
        ({"warmup_epochs": 9}, "is more than epochs=3"),
        ({"precision": "float8", "augment": "flip", "views": 0}, "precision='float8': expected"),
        (
            {"network": "fcnet:batch_norm=true", "blocks": "all", "batch": 1},
            "epoch 1, batch 1 is a single image, of which batch norm cannot learn",
        ),
    ],
)
def test_wrong_settings_say_what_is_known(
    wrong: dict[str, Any], expected: str, data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=expected):
        tune(data, tmp_path, **wrong)


def test_rows_of_the_trained_network_are_its_own(data: Dataset, tmp_path: Path) -> None:
    before = extract(data, create_network("lenet5", classes=3), cache=tmp_path)
    model = tune(data, tmp_path, blocks=1)
    after = extract(data, model.network_, cache=tmp_path)
    assert (after.rows_cached, after.spec.key == before.spec.key) == (0, False)
    assert not np.allclose(after.test.X, before.test.X, atol=1e-3)
    new = data.test.take([3, 1])  # and images asked about later go through what was trained
    expected = model.predict_proba(data.test)[[3, 1]]
    np.testing.assert_allclose(model.predict_proba(new), expected, atol=1e-6)


def test_a_trained_network_is_left_in_eval_mode_without_hooks(
    data: Dataset, tmp_path: Path
) -> None:
    model = tune(data, tmp_path, blocks="all", refit=True, device="cpu")
    assert not any(part.training for part in model.network_.module.modules())
    model.predict_proba(data.test.take([0]))
    assert not any(part._forward_hooks for part in model.network_.module.modules())
