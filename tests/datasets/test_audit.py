"""Copies, leaks, conflicting labels and broken files are found, and splits can be mended."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from featbench.datasets import _audit, audit, fixed_splits, load_dataset
from tests.conftest import Said
from tests.datasets.test_class_folders import zipped


def scene(seed: int) -> Image.Image:
    """A picture with large shapes, as photographs have."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    return coarse.resize((96, 96), Image.Resampling.BICUBIC)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    root, seed = tmp_path / "scenes", 0
    for split, count in (("train", 8), ("test", 6)):
        for name in ("a", "b"):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                seed += 1
                scene(seed).save(root / split / name / f"{i}.png")
    return root


def test_a_clean_set_has_nothing_to_look_at(scenes: Path) -> None:
    assert not any(audit(load_dataset(scenes)).counts().values())


def test_everything_planted_is_found(scenes: Path) -> None:
    train, test = scenes / "train", scenes / "test"
    shutil.copy(train / "a" / "0.png", test / "a" / "copy.png")  # a leak
    shutil.copy(train / "b" / "1.png", train / "a" / "other-label.png")  # a conflict
    with Image.open(train / "b" / "2.png") as image:  # a near-copy that leaks
        image.resize((70, 70)).filter(ImageFilter.GaussianBlur(1)).save(test / "b" / "n.jpg")
    (test / "a" / "broken.jpg").write_bytes(b"x")
    (train / "rare").mkdir()
    scene(999).save(train / "rare" / "0.png")
    found = audit(load_dataset(scenes))
    assert found.counts() == {
        "duplicates": 2,
        "near_duplicates": 1,
        "leaks": 2,
        "conflicting_labels": 1,
        "split_groups": 0,
        "broken": 1,
        "missing": 0,
        "left_out": 0,
        "absent_classes": 1,
        "tiny_classes": 1,
    }
    assert {m.id for m in found.conflicts[0]} == {"train/b/1.png", "train/a/other-label.png"}
    assert {m.id for m in found.near_duplicates[0]} == {"train/b/2.png", "test/b/n.jpg"}
    assert found.broken[0][:2] == ("test", "test/a/broken.jpg")
    assert found.absent == [("test", "rare")]
    assert found.tiny == [("rare", 1)]


def test_mended_splits_split_no_group(scenes: Path, tmp_path: Path) -> None:
    shutil.copy(scenes / "train" / "a" / "0.png", scenes / "test" / "a" / "copy.png")
    with Image.open(scenes / "test" / "b" / "2.png") as image:
        image.resize((50, 50)).save(scenes / "train" / "b" / "near.png")
    dataset = load_dataset(scenes)
    text = fixed_splits(dataset, audit(dataset))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 30
    (tmp_path / "mended.csv").write_text(text)
    mended = load_dataset(tmp_path / "mended.csv")
    assert audit(mended).leaks == []
    assert len(mended.train) + len(mended.test) == 30
    assert mended.classes == dataset.classes


def test_near_groups_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, 2**63, 40, dtype=np.uint64)
    codes = []
    for seed in seeds:
        for flips in range(4):
            code = int(seed)
            for bit in rng.choice(64, flips, replace=False):
                code ^= 1 << int(bit)
            codes.append(code)
    hashes = np.array(codes, dtype=np.uint64)
    far = np.bitwise_count(hashes[:, None] ^ hashes[None]) > _audit.NEAR_BITS
    linked = ~far
    for _ in range(8):  # the transitive closure
        linked = (linked.astype(int) @ linked.astype(int)) > 0
    expected = {frozenset(np.flatnonzero(row)) for row in linked if row.sum() > 1}
    assert {frozenset(g) for g in _audit.near_groups(hashes)} == expected
    assert _audit.near_groups(np.array([], dtype=np.uint64)) == []


def test_plain_pictures_are_not_all_the_same(tmp_path: Path) -> None:
    for name, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / "p" / "train" / name).mkdir(parents=True)
        (tmp_path / "p" / "test" / name).mkdir(parents=True)
        for i in range(5):
            for split in ("train", "test"):
                size = (20 + i, 20 + (split == "test"))
                Image.new("RGB", size, colour).save(tmp_path / "p" / split / name / f"{i}.png")
    assert audit(load_dataset(tmp_path / "p")).near_duplicates == []


def test_the_command(featbench: Callable[..., Said], scenes: Path, tmp_path: Path) -> None:
    clean = featbench("data", "check", scenes)
    assert clean.code == 0
    shutil.copy(scenes / "train" / "a" / "0.png", scenes / "test" / "b" / "copy.png")
    said = featbench("data", "check", scenes, "--fix-splits", "mended.csv")
    assert said.code == 3
    assert "same: train:train/a/0.png (a)  test:test/b/copy.png (b)" in said.out
    assert (tmp_path / "mended.csv").is_file()
    found = json.loads(featbench("data", "check", scenes, "--json").out)
    assert found["counts"]["leaks"] == 1
    assert len(found["groups"]["leaks"][0]) == 2
    archive = zipped(scenes, tmp_path / "s.zip")
    assert featbench("data", "check", archive, "--fix-splits", "x.csv").code == 2
    fitted = featbench("fit", "--head", "logreg", "--backbone", "lenet5", "--data", scenes)
    assert "train and test share 1 images" in fitted.err
