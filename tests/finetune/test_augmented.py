"""Training sees new views, kept views and copies; validation and test see images as they are."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from featbench.augmentation import Augmentation
from featbench.datasets import Dataset, Split, load_dataset
from featbench.errors import UsageError
from featbench.extraction import extract
from featbench.finetune import FineTuneClassifier, Schedule, _supply
from featbench.finetune._normalise import normalised_as, normalised_by
from featbench.finetune._training_rows import FreshViews, KeptViews, Pictures
from featbench.networks import Preprocessing, create_network
from tests.conftest import make_photos

RECIPE = "random-crop:pad=2+rotate:20+flip"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("a") / "p", {"train": 12, "val": 6, "test": 6})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 3, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


def held(split: Split, steps: Preprocessing) -> Pictures:
    pixels = [steps.resized(split.read(i)) for i in range(len(split))]
    return Pictures(pixels, split.digests, steps)


def all_rows(rows: FreshViews | KeptViews, epoch: int, size: int = 7) -> torch.Tensor:
    return torch.cat(list(rows.batches(list(torch.arange(len(rows)).split(size)), epoch)))


class TestFreshViews:
    def test_each_epoch_is_new_and_the_same_whatever_batch_and_order(self, data: Dataset) -> None:
        steps = create_network("lenet5").preprocessing
        rows = FreshViews(held(data.train, steps), [RECIPE], 0)
        first = all_rows(rows, 1)
        assert first.shape == (36, 32, 32, 1)
        assert torch.equal(first, all_rows(rows, 1, size=36))
        assert torch.equal(first, all_rows(FreshViews(rows._pictures, [RECIPE], 0, 3), 1, 5))
        order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
        turned = torch.cat(list(rows.batches(list(order.split(4)), 1)))
        assert torch.equal(turned, first[order])
        others = all_rows(rows, 2), all_rows(FreshViews(rows._pictures, [RECIPE], 1), 1)
        assert not any((first == other).flatten(1).all(1).any() for other in others)

    def test_copies_are_turned_by_exactly_their_angles(self, data: Dataset) -> None:
        steps = create_network("fcnet:size=32").preprocessing
        pictures = held(data.train, steps)
        rows = all_rows(FreshViews(pictures, Schedule(copies="rotate:10,rotate:20").recipes, 0), 3)
        assert len(rows) == 3 * 36
        for number, recipe in enumerate(("none", "rotate=10", "rotate=20")):
            one = Augmentation(recipe)(pictures.pixels, pictures.contents, [0] * 36, (32, 32))
            assert np.array_equal(rows[36 * number : 36 * (number + 1)], one)
        again = FreshViews(pictures, Schedule(copies="rotate:10,rotate:20").recipes, 5)
        assert torch.equal(all_rows(again, 1), rows)  # no seed, no epoch changes a copy

    def test_random_crops_are_cut_from_the_resized_picture(self, data: Dataset) -> None:
        steps = create_network("cnn:size=32:resize=40").preprocessing
        pictures = held(data.train, steps)
        assert {one.shape for one in pictures.pixels} == {(40, 40, 3)}
        rows = all_rows(FreshViews(pictures, ["random-crop"], 0), 1)
        for row, whole in zip(rows, pictures.pixels, strict=True):
            parts = {whole[t : t + 32, x : x + 32].tobytes() for t in range(9) for x in range(9)}
            assert row.numpy().tobytes() in parts
        centre = torch.cat(list(pictures.split(10)))
        assert np.array_equal(centre[5], pictures.pixels[5][4:36, 4:36])


class TestKeptViews:
    def test_epochs_go_round_the_views_of_images_and_copies(self) -> None:
        ways = [torch.arange(12.0).reshape(4, 3, 1) + 100 * way for way in (0, 1)]
        rows = KeptViews(ways)
        for epoch, view in ((1, 0), (2, 1), (3, 2), (4, 0)):
            expected = torch.cat([way[:, view] for way in ways])
            assert torch.equal(all_rows(rows, epoch, 3), expected)

    def test_rows_of_unlike_precision_lose_nothing(self) -> None:
        rows = KeptViews([torch.ones(2, 1, 1).half(), torch.full((2, 1, 1), 1e6)])
        assert all_rows(rows, 1).flatten().tolist() == [1, 1, 1e6, 1e6]

    def test_views_are_run_once_through_the_frozen_part(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        options = {"blocks": 1, "augment": RECIPE, "views": 3, "copies": "rotate:10"}
        first = tune(data, tmp_path, **options)
        assert first.inputs_.costs["rows_computed"] == 72 + 2 * 3 * 36
        again = tune(data, tmp_path, **options, lr=0.01)
        assert again.inputs_.costs["rows_computed"] == 0
        assert first.copies_ == 36

    def test_kept_and_fresh_views_are_the_same_views(self, data: Dataset, tmp_path: Path) -> None:
        options = {"blocks": 1, "augment": RECIPE, "copies": "rotate:10"}
        kept = tune(data, tmp_path, views=3, **options)
        fresh = tune(data, tmp_path, views=0, **options)
        assert (kept.inputs_.prefix, fresh.inputs_.prefix) == ("cached", "plain")
        losses = [[row["train_loss"] for row in model.history_] for model in (kept, fresh)]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
        np.testing.assert_allclose(
            kept.predict_proba(data.test), fresh.predict_proba(data.test), atol=1e-3
        )

    def test_copies_need_no_view_of_the_image(self, data: Dataset, tmp_path: Path) -> None:
        model = tune(data, tmp_path, blocks=0, copies="rotate:10,rotate:20")
        assert model.inputs_.costs["rows_computed"] == 72 + 2 * 36
        other_seed = tune(data, tmp_path, blocks=0, copies="rotate:20", seed=1, network="lenet5")
        assert other_seed.inputs_.costs["rows_computed"] > 0  # other random weights


@pytest.mark.parametrize("blocks", [1, "all"])
def test_only_training_is_augmented(blocks: int | str, data: Dataset, tmp_path: Path) -> None:
    model = tune(data, tmp_path, blocks=blocks, augment=RECIPE, epochs=2, lr=1e-12)
    plain = tune(data, tmp_path, blocks=blocks, epochs=2, lr=1e-12)
    for ours, theirs in zip(model.history_, plain.history_, strict=True):
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
        assert ours["train_loss"] != pytest.approx(theirs["train_loss"], rel=1e-6)
    for split in data.splits.values():  # train too, where it is measured
        np.testing.assert_allclose(
            model.predict_proba(split), plain.predict_proba(split), atol=1e-5
        )


@pytest.mark.parametrize("options", [{}, {"copies": "rotate:10"}])
def test_two_augmented_runs_are_identical(
    options: dict[str, Any], data: Dataset, tmp_path: Path
) -> None:
    how = {"blocks": "all", "augment": RECIPE, **options}
    first, again, other = (tune(data, tmp_path, **how, seed=s).history_ for s in (0, 0, 1))
    losses = [[row["train_loss"] for row in rows] for rows in (first, again, other)]
    assert losses[0] == losses[1] != losses[2]


def test_copies_stay_in_train_and_val_is_taken_off_before(data: Dataset, tmp_path: Path) -> None:
    alone = data.with_splits({"train": data.train, "test": data.test})
    model = tune(alone, tmp_path, blocks="all", copies="rotate:10,rotate:20", epochs=1)
    splits = model.inputs_.dataset.splits
    assert len(splits["train"]) + len(splits["val"]) == 36
    assert not set(splits["train"].ids) & set(splits["val"].ids)
    assert model.inputs_.training is not None
    assert len(model.inputs_.training) == 3 * len(splits["train"])
    assert model.copies_ == 2 * len(splits["train"])
    assert len(model.inputs_.tensors["val"]) == len(splits["val"])


def test_it_learns_from_views(data: Dataset, tmp_path: Path) -> None:
    how = {"network": "fcnet:size=32", "epochs": 12, "augment": "random-crop+rotate:20+flip"}
    assert tune(data, tmp_path, blocks="all", **how).score(data.test) > 0.8


def test_a_broken_image_has_no_view(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"train": 8, "test": 4})
    (root / "train" / "moss" / "bad.jpg").write_bytes(b"no image")
    for blocks in (1, "all"):
        model = tune(load_dataset(root), tmp_path / "c", blocks=blocks, epochs=1, augment=RECIPE)
        assert [name for name, _ in model.inputs_.skipped] == ["train/moss/bad.jpg"]
        assert model.inputs_.training is not None
        assert len(model.inputs_.training) == len(model.inputs_.dataset.train)


class TestNormalise:
    def test_the_data_sets_own_numbers_are_those_of_its_training_pixels(
        self, data: Dataset, tmp_path: Path
    ) -> None:
        options = {"network": "fcnet:size=32", "normalise": "data", "epochs": 1, "select": "last"}
        for blocks in (0, "all"):
            model = tune(data, tmp_path, blocks=blocks, **options)
            steps = model.network_.preprocessing
            pixels = np.stack([steps.pixels(data.train.read(i)) for i in range(36)]) / 255
            np.testing.assert_allclose(steps.mean, pixels.mean((0, 1, 2)), atol=1e-9)
            np.testing.assert_allclose(steps.std, pixels.std((0, 1, 2)), atol=1e-9)
            values = steps.normalise(torch.from_numpy((pixels * 255).round().astype(np.uint8)))
            assert values.mean().abs() < 1e-4

    @pytest.mark.parametrize("blocks", [1, "all"])
    def test_the_time_to_know_them_counts_with_decoding(
        self, blocks: int | str, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, ahead = time.perf_counter, [0.0]
        monkeypatch.setattr(time, "perf_counter", lambda: clock() + ahead[0])

        def slow(*arguments: Any) -> Preprocessing:
            ahead[0] += 1000
            return normalised_by(*arguments)

        monkeypatch.setattr(_supply, "normalised_by", slow)
        for number in (1, 2):
            began = time.perf_counter()
            model = tune(data, tmp_path, blocks=blocks, normalise="data", epochs=1)
            costs = model.inputs_.costs
            whole = time.perf_counter() - began
            assert 1000 <= costs["extract_seconds"] <= whole
            assert 1000 <= costs["extract_seconds_cold"] < 2000
            assert model.inputs_.seconds_each < 100  # no prediction needs them anew
            assert ahead[0] == 1000 * number

    def test_named_ones(self) -> None:
        steps = create_network("resnet18", "random").preprocessing
        half = normalised_as("half", steps)
        assert (half.mean, half.std, half.resize) == ((0.5,) * 3, (0.5,) * 3, steps.resize)
        assert normalised_as("imagenet", half).mean == (0.485, 0.456, 0.406)
        with pytest.raises(UsageError, match="takes grey"):
            normalised_as("imagenet", Preprocessing.from_scratch(32, 1))

    def test_pictures_of_one_colour_do_not_divide_by_nothing(self) -> None:
        steps = Preprocessing.from_scratch(8, 1)
        found = normalised_by([np.full((2, 8, 8, 1), 51, np.uint8)], steps)
        assert found.mean == (pytest.approx(0.2),)
        assert found.std == (1 / 255,)

    def test_a_cut_keeps_its_values_apart(self, data: Dataset, tmp_path: Path) -> None:
        tune(data, tmp_path, blocks=1)
        other = tune(data, tmp_path, blocks=1, normalise="data")
        assert other.inputs_.costs["rows_computed"] == 72

    def test_a_warm_start_has_the_weights_own(self, data: Dataset, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="warm_start goes without normalise"):
            tune(data, tmp_path, normalise="half", warm_start=object())


def test_views_count_in_the_budget(data: Dataset, tmp_path: Path) -> None:
    each = 4 * int(np.prod(create_network("lenet5").shape_at("features")))
    options = {"blocks": 0, "activation_budget": each * (72 + 2 * 36)}
    assert tune(data, tmp_path, augment=RECIPE, views=2, **options).inputs_.prefix == "cached"
    assert tune(data, tmp_path, augment=RECIPE, views=3, **options).inputs_.prefix == "plain"


def test_without_augmentation_any_number_of_views_is_the_default() -> None:
    assert Schedule(views=8) == Schedule(views=0, copies=()) == Schedule()
    assert Schedule(views=8, copies="rotate:10") == Schedule(copies="rotate:10")
    assert Schedule(views=8, augment="flip") != Schedule(augment="flip")


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"augment": "flop"}, "did you mean 'flip'"),
        ({"augment": "random-crop:40"}, "more than the resized picture"),
        ({"augment": "random-crop", "network": "fcnet:size=32:resize=32"}, "nothing is random"),
        ({"views": -1}, "views=-1: expected a whole number from 0 up"),
        ({"copies": "colour:0.2"}, "exact amounts"),
        ({"normalise": "date"}, "expected weights, half, imagenet, data"),
    ],
)
def test_wrong_settings_say_what_is_known(
    wrong: dict[str, Any], expected: str, data: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=expected):
        tune(data, tmp_path, **{"blocks": "all", **wrong})


def test_small_networks_say_what_they_resize_to() -> None:
    assert create_network("cnn:size=64:resize=80").preprocessing.resize == 80
    assert create_network("cnn:size=64:resize=0").name == "cnn"
    assert create_network("cnn").preprocessing.resize == 72
    assert create_network("cnn3:size=64:resize=72").preprocessing.crop == (64, 64)
    with pytest.raises(UsageError, match="resize=32: expected 64"):
        create_network("cnn:resize=32")


def test_views_of_the_store_are_those_of_training(data: Dataset, tmp_path: Path) -> None:
    network = create_network("lenet5", seed=0)
    found = extract(data, network, augment=RECIPE, views=2, cache=tmp_path)
    rows = FreshViews(held(data.train, network.preprocessing), [RECIPE], 0)
    prefix = network.cut("features").prefix
    for view in (0, 1):
        with torch.no_grad():
            values = prefix(network.preprocessing.normalise(all_rows(rows, view + 1)))
        np.testing.assert_allclose(found.train.X[:, view], values, rtol=1e-4, atol=1e-5)
