"""An image's side hangs on its id (or group) and the split seed alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featbench.datasets import Split, load_dataset, split_off, with_validation
from featbench.errors import UsageError
from tests.conftest import make_photos


def sides(split: Split, **options: int) -> dict[str, bool]:
    _, taken = split_off(split, 0.2, **options)
    return {name: name in set(taken.ids) for name in split.ids}


def test_adding_an_image_moves_no_other(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"": 30}, size=4)
    before = load_dataset(root)
    shutil.copy(root / "moss" / "moss_000.jpg", root / "moss" / "aaa_first.jpg")
    after = load_dataset(root)
    assert set(before.test.ids) <= set(after.test.ids) <= {*before.test.ids, "moss/aaa_first.jpg"}


def test_the_split_seed_moves_images_and_nothing_else_does(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"": 30}, size=4)
    same, other = load_dataset(root), load_dataset(root, split_seed=1)
    assert load_dataset(root).test.ids == same.test.ids
    assert other.test.ids != same.test.ids
    moved = root.rename(tmp_path / "another name")
    assert load_dataset(moved).test.ids == same.test.ids


def test_a_group_stays_together() -> None:
    n = 200
    ids = tuple(f"{i}" for i in range(n))
    groups = tuple(f"patient {i // 5}" for i in range(n))
    labels = np.arange(n, dtype=np.int64) % 2
    digits = load_dataset("digits").train.pictures
    kept, taken = split_off(Split(ids, labels, digits[:n], groups), 0.2)
    assert taken.groups is not None
    assert kept.groups is not None
    assert len(taken) > 0
    assert not set(kept.groups) & set(taken.groups)


def test_validation_is_the_sources_own_else_a_share_of_train(tmp_path: Path) -> None:
    own = load_dataset(make_photos(tmp_path / "p", {"train": 5, "val": 2, "test": 2}, size=4))
    assert with_validation(own) is own
    digits = load_dataset("digits")
    held = with_validation(digits)
    assert held.val is not None
    assert set(held.train.ids) | set(held.val.ids) == set(digits.train.ids)
    assert not set(held.train.ids) & set(held.val.ids)
    assert 0.15 < len(held.val) / len(digits.train) < 0.25
    assert held.test is digits.test


def test_divisions_for_different_purposes_are_independent() -> None:
    train = load_dataset("digits").train
    assert sides(train, seed=0) != sides(train, seed=1)
    first, second = (set(split_off(train, 0.2, purpose=p)[1].ids) for p in ("val", "test"))
    assert len(first & second) < 0.3 * len(first)


def test_limit_keeps_the_same_images_of_each_class_and_split(photos: Path) -> None:
    whole, few, fewer = (load_dataset(photos, limit=n) for n in (None, 4, 2))
    assert [(few.train.labels == c).sum() for c in range(3)] == [4, 4, 4]
    assert [(few.test.labels == c).sum() for c in range(3)] == [4, 4, 4]
    assert set(fewer.train.ids) < set(few.train.ids) < set(whole.train.ids)
    with pytest.raises(UsageError, match="at least 1"):
        load_dataset(photos, limit=0)


def test_taking_and_adding_keep_ids_labels_and_pictures_aligned() -> None:
    train = load_dataset("digits").train
    part = train.take([5, 2, 9]) + train.take([0])
    assert part.ids == tuple(train.ids[i] for i in (5, 2, 9, 0))
    assert part.labels.tolist() == train.labels[[5, 2, 9, 0]].tolist()
    assert part.digests == tuple(train.digests[i] for i in (5, 2, 9, 0))


def test_few_groups_leave_neither_part_empty(photos: Path) -> None:
    train = load_dataset(str(photos)).train
    grouped = replace(train, groups=tuple(f"group {i % 2}" for i in range(len(train))))
    for seed in range(20):
        kept, taken = split_off(grouped, 0.2, seed=seed)
        assert len(kept)
        assert len(taken)
        assert not set(kept.groups or ()) & set(taken.groups or ())


def test_the_notice_says_how_unequally_the_classes_were_hit(tmp_path: Path) -> None:
    dataset = load_dataset(make_photos(tmp_path / "p", {"": 12}, size=4))
    counts = np.bincount(dataset.test.labels, minlength=3)
    assert dataset.notices == (
        f"no test split in the source: about a fifth ({counts.sum()} images, {counts.min()} to "
        f"{counts.max()} a class, by a hash of the id) is the test split",
    )


def test_with_groups_the_notice_speaks_of_groups(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"": 10}, size=4)
    lines = ["path,label,group"]
    for path in sorted(root.rglob("*.jpg")):
        lines.append(f"{path.relative_to(root)},{path.parent.name},{int(path.stem[-3:]) // 2}")
    (root / "t.csv").write_text("\n".join(lines))
    dataset = load_dataset(root / "t.csv")
    n, images = len(set(dataset.test.groups or ())), len(dataset.test)
    assert dataset.notices == (
        f"no test split in the source: about a fifth of the groups, each of them whole ({n} of 5 "
        f"groups: {images} images, {images // 3} a class; by a hash of the group), is the test "
        "split",
    )


def test_a_class_without_test_images_comes_with_a_next_step(tmp_path: Path) -> None:
    root = make_photos(tmp_path / "p", {"": 10}, size=4)
    for path in list((root / "sky").iterdir())[1:]:
        path.unlink()
    lines = [line for seed in range(9) for line in load_dataset(root, split_seed=seed).problems]
    line = next(line for line in lines if "no test image" in line)
    assert line == (
        "1 of 3 classes has no test image: sky; give a split of your own (folders or a column "
        f"split), a larger share ({root}:test=0.3) or another --split-seed"
    )
    own = make_photos(tmp_path / "own", {"train": 3, "test": 2}, size=4)
    shutil.rmtree(own / "test" / "sky")
    (line,) = load_dataset(own).problems
    assert line == "1 of 3 classes has no test image: sky; put some of their images into test"
