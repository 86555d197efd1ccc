"""Rows are computed once, hang on content alone, and are what a straightforward loop gives."""

import csv
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from featbench.datasets import load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction import Features, export, extract, extract_layers
from featbench.extraction._tuning import disagreement
from featbench.networks import create_network
from tests.conftest import make_photos
from tests.datasets.test_class_folders import zipped
from tests.datasets.test_tables import write_table
from tests.experiments.extraction_log import check_stored_once


def features(source: Path, cache: Path, **options: object) -> Features:
    return extract(load_dataset(source), "lenet5", cache=cache, **options)  # type: ignore[arg-type]


def counts(found: Features) -> tuple[int, int]:
    return found.rows_computed, found.rows_cached


@pytest.mark.parametrize("kind", ["folder", "zip", "table"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_rows_equal_a_straightforward_reference(
    kind: str, precision: str, photos: Path, tmp_path: Path
) -> None:
    network = create_network("resnet18", "random", seed=4)
    make = {"folder": lambda: photos, "zip": lambda: zipped(photos, tmp_path / "p.zip"),
            "table": lambda: write_table(photos)}  # fmt: skip
    dataset = load_dataset(make[kind](), limit=3)
    found = extract(dataset, network, cache=tmp_path / "cache", batch=4, precision=precision)
    from torchvision.models import ResNet18_Weights

    preset = ResNet18_Weights.IMAGENET1K_V1.transforms()
    network.module.fc = torch.nn.Identity()
    for name, part in found.splits.items():
        rows = []
        for path in part.ids:
            with Image.open(photos / path) as image, torch.no_grad():
                rows.append(network.module(preset(image.convert("RGB"))[None])[0].numpy())
        assert disagreement(part.X, np.stack(rows), precision) is None
        assert part.y.tolist() == dataset.splits[name].labels.tolist()


def test_a_folder_its_zip_and_its_table_share_their_rows(photos: Path, tmp_path: Path) -> None:
    folder = features(photos, tmp_path / "cache")
    assert counts(folder) == (48, 0)
    for other in (zipped(photos, tmp_path / "p.zip"), write_table(photos)):
        again = features(other, tmp_path / "cache")
        assert counts(again) == (0, 48)
        assert np.array_equal(again.train.X, folder.train.X)


def test_nothing_is_computed_twice(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = features(photos, cache)
    again = features(photos, cache, batch=7)
    assert counts(first) == (48, 0)
    assert counts(again) == (0, 48)
    assert np.array_equal(first.train.X, again.train.X)
    assert 0 < again.seconds_cold <= first.seconds_cold


def test_labels_splits_and_names_are_not_in_the_cache(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    features(photos, cache)
    (photos / "train" / "moss").rename(photos / "train" / "lichen")
    (photos / "test" / "moss").rename(photos / "test" / "lichen")
    (photos / "train" / "sky" / "sky_000.jpg").rename(photos / "test" / "sky" / "moved.jpg")
    moved = features(photos.rename(tmp_path / "another"), cache)
    assert counts(moved) == (0, 48)
    assert moved.dataset.classes == ("lichen", "rust", "sky")
    assert len(moved.test.y) == 19


def test_one_changed_image_is_one_row(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = features(photos, cache)
    changed = photos / "train" / "rust" / "rust_004.jpg"
    Image.new("RGB", (40, 40), "white").save(changed)
    after = features(photos, cache)
    assert counts(after) == (1, 47)
    different = (before.train.X != after.train.X).any(axis=1)
    assert [after.train.ids[i] for i in np.flatnonzero(different)] == ["train/rust/rust_004.jpg"]


def test_added_images_cost_their_own_rows_and_copies_none(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    features(photos, cache)
    sky = photos / "train" / "sky"
    shutil.copy(sky / "sky_001.jpg", sky / "copy.jpg")
    Image.new("RGB", (9, 9), "black").save(sky / "new.png")
    after = features(photos, cache)
    assert counts(after) == (1, 48)
    rows = dict(zip(after.train.ids, after.train.X, strict=True))
    assert np.array_equal(rows["train/sky/copy.jpg"], rows["train/sky/sky_001.jpg"])


def test_other_weights_or_preprocessing_are_another_space(photos: Path, tmp_path: Path) -> None:
    import dataclasses

    cache, dataset = tmp_path / "cache", load_dataset(photos)
    first = extract(dataset, "lenet5", cache=cache)
    seeded = extract(dataset, create_network("lenet5", seed=1), cache=cache)
    network = create_network("lenet5")
    network.preprocessing = dataclasses.replace(network.preprocessing, interpolation="nearest")
    nearest = extract(dataset, network, cache=cache)
    assert counts(seeded) == counts(nearest) == (48, 0)
    assert len({f.spec.key for f in (first, seeded, nearest)}) == 3
    assert len([p for p in cache.iterdir() if p.is_dir()]) == 3


@pytest.mark.parametrize("engine", ["eager", "fused", "packed", "packed-bfloat16"])
def test_a_row_hangs_on_no_neighbour(engine: str, photos: Path, tmp_path: Path) -> None:
    network = create_network("mobilenet_v3_small", "random")
    precision = "bfloat16" if "bfloat16" in engine else "float32"
    options = {"batch": 8, "engine": engine, "precision": precision}
    dataset = load_dataset(photos)
    whole = extract(dataset, network, cache=tmp_path / "a", **options)
    turned = dataset.with_splits({"train": dataset.train.take(range(29, -1, -1))})
    some = turned.with_splits({"train": turned.train.take(range(11))})
    extract(some, network, cache=tmp_path / "b", **options)
    other = extract(turned, network, cache=tmp_path / "b", **options)
    assert counts(other) == (19, 11)
    assert np.array_equal(other.train.X[::-1], whole.train.X)


def test_broken_images_are_skipped_with_a_reason_and_all_stays_aligned(
    photos: Path, tmp_path: Path
) -> None:
    clean = features(photos, tmp_path / "cache")
    (photos / "train" / "moss" / "aa.jpg").write_bytes(b"\xff\xd8\xff no jpeg")
    (photos / "test" / "sky" / "zz.png").write_bytes(b"")
    for _ in range(2):  # the second time with every good row in the cache
        found = features(photos, tmp_path / "cache")
        assert {name for name, _ in found.skipped} == {"train/moss/aa.jpg", "test/sky/zz.png"}
        assert dict(found.skipped)["test/sky/zz.png"] == "empty file"
        assert found.train.ids == clean.train.ids
        assert np.array_equal(found.train.X, clean.train.X)
        assert np.array_equal(found.test.y, clean.test.y)
        assert len(found.dataset.train) == 30
        assert counts(found) == (0, 48)
    with pytest.raises(FeatbenchError, match="cannot be decoded"):
        features(photos, tmp_path / "cache", strict=True)


def test_skipped_images_are_listed_by_source(photos: Path, tmp_path: Path) -> None:
    cache, listed = tmp_path / "cache", tmp_path / "cache" / "skipped.csv"
    other = make_photos(tmp_path / "ö,ther", {"": 8})
    broken = photos / "train" / "moss" / 'a, "b".jpg'
    broken.write_bytes(b"")
    (other / "sky" / "bad.png").write_bytes(b"no image")
    features(photos, cache)
    features(other, cache)
    with listed.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["source", "id", "reason"],
        [str(photos), 'train/moss/a, "b".jpg', "empty file"],
        [str(other), "sky/bad.png", "not an image in a known format"],
    ]
    broken.unlink()
    features(photos, cache)
    assert len(listed.read_text(encoding="utf-8").splitlines()) == 2
    (other / "sky" / "bad.png").unlink()
    features(other, cache)
    assert not listed.exists()


def test_rows_can_stay_in_the_store(photos: Path, tmp_path: Path) -> None:
    left = extract_layers(load_dataset(photos), "lenet5", ["features"], cache=tmp_path, rows=False)
    assert left["features"].splits == {}
    assert left["features"].row_shape == (84,)
    assert counts(left["features"]) == (48, 0)
    assert counts(features(photos, tmp_path)) == (0, 48)


def test_a_damaged_zip_member_and_a_file_that_goes_away_are_skipped(
    photos: Path, tmp_path: Path
) -> None:
    archive = zipped(photos, tmp_path / "p.zip")
    content = bytearray(archive.read_bytes())
    start = content.index(b"moss_000.jpg") + 200
    content[start] ^= 0xFF
    archive.write_bytes(content)
    found = features(archive, tmp_path / "cache")
    assert len(found.skipped) == 1
    assert "damaged in the zip" in found.skipped[0][1]
    dataset = load_dataset(photos)
    (photos / dataset.train.ids[2]).unlink()
    found = extract(dataset, "lenet5", cache=tmp_path / "cache")
    assert found.skipped[0] == (dataset.train.ids[2], "No such file or directory")
    assert len(found.train.y) == 29


def test_layers_before_the_features(photos: Path, tmp_path: Path) -> None:
    dataset, network = load_dataset(photos, limit=2), create_network("resnet18", "random")
    maps = extract(dataset, network, layer="layer3", cache=tmp_path / "c")
    assert maps.train.X.shape == (6, 256, 14, 14)
    pooled = extract(dataset, network, layer="layer3", pooling="avg", cache=tmp_path / "c")
    np.testing.assert_allclose(pooled.train.X, maps.train.X.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_each_layer_can_have_its_own_pooling_and_storage(photos: Path, tmp_path: Path) -> None:
    data = load_dataset(photos)
    network = create_network("lenet5", "random")
    first, second = network.layers[0], network.layers[-2]
    asked = {"pooling": {first: "avg"}, "storage": {second: "half"}}
    layers = [first, second, "features"]
    several = extract_layers(data, network, layers, cache=tmp_path / "a", **asked)  # type: ignore[arg-type]
    for layer, pooling, storage in (
        (first, "avg", "float32"), (second, None, "half"), ("features", None, "float32")
    ):  # fmt: skip
        alone = extract(
            data, network, layer=layer, pooling=pooling, storage=storage, cache=tmp_path / "b"
        )
        assert several[layer].spec == alone.spec
        assert several[layer].train.X.dtype == alone.train.X.dtype
        np.testing.assert_allclose(several[layer].train.X, alone.train.X, rtol=1e-3, atol=1e-4)
    with pytest.raises(UsageError, match="storage='third'"):
        extract_layers(data, network, layers, cache=tmp_path / "a", storage={first: "third"})


def test_a_layer_whose_rows_are_there_takes_no_time_of_anothers_pass(
    photos: Path, tmp_path: Path
) -> None:
    data, network = load_dataset(photos), create_network("lenet5", "random")
    there = extract(data, network, cache=tmp_path)
    both = extract_layers(data, network, ["features", network.layers[0]], cache=tmp_path)
    known = extract(data, network, cache=tmp_path)
    assert both["features"].seconds_cold == known.seconds_cold <= there.seconds
    assert both[network.layers[0]].seconds_cold > 0


def test_one_plain_file_for_readers_without_featbench(photos: Path, tmp_path: Path) -> None:
    found = features(photos, tmp_path / "cache")
    export(found, tmp_path / "out" / "f.h5")
    with h5py.File(tmp_path / "out" / "f.h5") as file:
        assert file["X"].shape == (48, 84)
        sides = file["split"].asstr()[:]
        assert np.array_equal(file["X"][sides == "train"], found.train.X)
        assert file["y"][:][sides == "test"].tolist() == found.test.y.tolist()
        assert file["id"].asstr()[0] in {*found.train.ids, *found.test.ids}
        assert "lenet5" in file.attrs["spec"]


def test_a_device_that_is_not_there_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device warp"):
        features(photos, tmp_path / "cache", device="warp")


def test_memory_that_is_no_image_source_needs_no_files(tmp_path: Path) -> None:
    dataset = load_dataset(make_photos(tmp_path / "p", {"": 8}, size=5))
    assert counts(extract(dataset, "lenet5", cache=tmp_path / "c")) == (24, 0)


def test_layers_that_lack_rows_of_other_images_store_each_row_once(
    photos: Path, tmp_path: Path
) -> None:
    """As after a kill in a pass of both: one has all its rows, one has some."""
    data, network = load_dataset(photos), create_network("lenet5")
    cache, cut = tmp_path / "cache", network.layers[0]
    some = data.with_splits({"test": data.test})
    extract_layers(data, network, ["features"], cache=cache, engine="eager")
    extract_layers(some, network, [cut], cache=cache, engine="eager")
    both = extract_layers(data, network, ["features", cut], cache=cache, engine="eager")
    assert check_stored_once(cache) == 2 * (len(data.train) + len(data.test))
    alone = extract_layers(data, network, ["features", cut], cache=tmp_path / "new", engine="eager")
    for layer in both:
        assert np.array_equal(both[layer].train.X, alone[layer].train.X)
        assert np.array_equal(both[layer].test.X, alone[layer].test.X)
    assert both["features"].rows_computed == len(data.train)
