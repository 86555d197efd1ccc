"""Folders and zips are read as a person would read them."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featbench.datasets import load_dataset
from featbench.errors import UsageError
from tests.conftest import make_photos


def zipped(folder: Path, target: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, inside + path.relative_to(folder).as_posix())
    return target


def test_a_folder_and_its_zip_are_the_same_data(photos: Path, tmp_path: Path) -> None:
    folder = load_dataset(photos)
    archive = load_dataset(zipped(photos, tmp_path / "photos.zip"))
    assert folder.classes == archive.classes == ("moss", "rust", "sky")
    assert {n: len(s) for n, s in folder.splits.items()} == {"train": 30, "test": 18}
    assert folder.train.ids == archive.train.ids
    assert folder.fingerprint == archive.fingerprint
    assert np.array_equal(folder.test.labels, archive.test.labels)
    assert np.array_equal(np.asarray(folder.train.read(3)), np.asarray(archive.train.read(3)))


def test_wrapping_folders_and_clutter_are_looked_through(photos: Path, tmp_path: Path) -> None:
    plain = load_dataset(photos)
    (photos / ".DS_Store").write_bytes(b"x")
    (photos / "train" / "moss" / "._moss_000.jpg").write_bytes(b"x")
    (photos / "train" / "moss" / "Thumbs.db").write_bytes(b"x")
    archive = zipped(photos, tmp_path / "p.zip", inside="archive (1)/photos/")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("__MACOSX/photos/train/moss/._moss_000.jpg", b"x")
    wrapped = load_dataset(archive)
    assert wrapped.train.ids == plain.train.ids
    assert wrapped.problems == wrapped.notices == ()


def test_without_split_folders_about_a_fifth_is_test(tmp_path: Path) -> None:
    dataset = load_dataset(make_photos(tmp_path / "flat", {"": 60}, size=4))
    assert len(dataset.train) + len(dataset.test) == 180
    for label in range(3):
        assert 4 <= (dataset.test.labels == label).sum() <= 20
    assert any("about a fifth" in line for line in dataset.notices)


def test_val_without_test_is_the_test_split(tmp_path: Path) -> None:
    dataset = load_dataset(make_photos(tmp_path / "p", {"Train": 4, "valid": 3}, size=4))
    assert {n: len(s) for n, s in dataset.splits.items()} == {"train": 12, "test": 9}
    assert any("val split is the test split" in line for line in dataset.notices)


def test_an_empty_class_folder_is_reported_and_left_out(photos: Path) -> None:
    (photos / "train" / "void").mkdir()
    dataset = load_dataset(photos)
    assert dataset.classes == ("moss", "rust", "sky")
    assert any("'void' has no images" in line for line in dataset.problems)


def test_other_files_and_loose_images_are_reported(photos: Path) -> None:
    (photos / "train" / "moss" / "notes.txt").write_text("x")
    Image.new("RGB", (2, 2)).save(photos / "train" / "loose.png")
    dataset = load_dataset(photos)
    assert any("1 × .txt" in line for line in dataset.notices)
    assert any("outside class folders" in line for line in dataset.problems)


def test_names_in_any_script(tmp_path: Path) -> None:
    root = tmp_path / "фото"
    for name in ("猫", "شیر", "ё ж"):
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (3, 3), (i, 0, 0)).save(root / name / f"{name} {i}.png")
    dataset = load_dataset(root)
    assert set(dataset.classes) == {"猫", "شیر", "ё ж"}
    assert dataset.train.read(0).size == (3, 3)


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_circle_of_links_ends(photos: Path) -> None:
    before = load_dataset(photos).train.ids
    (photos / "train" / "moss" / "again").symlink_to(photos, target_is_directory=True)
    assert set(before) <= set(load_dataset(photos).train.ids)


def test_a_member_that_claims_to_be_huge_is_not_unpacked(photos: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(zipped(photos, archive), "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train/moss/bomb.jpg", b"")
    dataset = load_dataset(archive)
    place = dataset.train.ids.index("train/moss/bomb.jpg")
    dataset.train.pictures[place].member.file_size = 2**40  # type: ignore[attr-defined]
    with pytest.raises(OSError, match=r"1,099,511,627,776 bytes are over the limit"):
        dataset.train.pictures[place].raw()


def test_zip_members_with_unsafe_names_are_left_out(photos: Path, tmp_path: Path) -> None:
    archive = zipped(photos, tmp_path / "p.zip")
    with zipfile.ZipFile(archive, "a") as more:
        for name in ("../evil/x.jpg", "/abs/x.jpg", "C:/win/x.jpg"):
            more.writestr(name, b"x")
    dataset = load_dataset(archive)
    assert dataset.train.ids == load_dataset(photos).train.ids
    assert any("3 zip members with unsafe names" in line for line in dataset.problems)


@pytest.mark.parametrize("case", ["missing", "no images", "one class", "no zip", "a text file"])
def test_a_source_that_cannot_serve_says_why(case: str, photos: Path, tmp_path: Path) -> None:
    source, expected = tmp_path / "nothing", "no such folder"
    if case == "no images":
        (tmp_path / "nothing" / "cats").mkdir(parents=True)
        expected = "no images in class folders"
    elif case == "one class":
        shutil.copytree(photos / "train" / "moss", tmp_path / "nothing" / "moss")
        expected = "only one class"
    elif case == "no zip":
        source, expected = tmp_path / "x.zip", "cannot be read as a zip"
        source.write_bytes(b"PK but no zip")
    elif case == "a text file":
        source, expected = tmp_path / "x.txt", "expected a folder, a .zip"
        source.write_text("x")
    with pytest.raises(UsageError, match=expected) as told:
        load_dataset(source)
    assert str(source) in str(told.value)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'digits'"):
        load_dataset("digist")
