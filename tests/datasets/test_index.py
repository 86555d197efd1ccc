"""An unchanged file is not read to know it; a changed one always is."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from featbench.datasets import Dataset, _index, _pictures, digest, load_dataset, use_index
from tests.datasets.test_class_folders import zipped


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count what is read: every file and every zip member."""
    seen: list[str] = []
    file_raw, zip_raw = _pictures.FilePicture.raw, _pictures.ZipPicture.raw

    def file(self: _pictures.FilePicture) -> bytes:
        seen.append(self.path.name)
        return file_raw(self)

    def member(self: _pictures.ZipPicture) -> bytes:
        seen.append(self.member.filename)
        return zip_raw(self)

    monkeypatch.setattr(_pictures.FilePicture, "raw", file)
    monkeypatch.setattr(_pictures.ZipPicture, "raw", member)
    return seen


def aged(source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the files count as old: nobody waits two seconds."""
    monkeypatch.setattr(_index, "_RACY_SECONDS", -60.0)
    return source


def opened(source: Path, cache: Path) -> Dataset:
    dataset = load_dataset(source)
    use_index(dataset, cache)
    return dataset


def right(dataset: Dataset) -> bool:
    return all(
        split.digests == tuple(digest(p.raw()) for p in split.pictures)
        for split in dataset.splits.values()
    )


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_nothing_changed_means_nothing_read(
    kind: str, photos: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos if kind == "folder" else zipped(photos, tmp_path / "p.zip")
    first = opened(aged(source, monkeypatch), tmp_path / "cache")
    assert len(reads) == 48
    reads.clear()
    again = opened(source, tmp_path / "cache")
    assert reads == []
    assert again.fingerprint == first.fingerprint
    assert right(again)


def test_a_changed_file_is_read_although_size_and_mtime_are_the_same(
    photos: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(aged(photos, monkeypatch), tmp_path / "cache")
    target = photos / "train" / "moss" / "moss_001.jpg"
    before = target.stat()
    content = bytearray(target.read_bytes())
    content[-3] ^= 1
    time.sleep(0.02)
    target.write_bytes(content)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    reads.clear()
    again = opened(photos, tmp_path / "cache")
    assert reads == ["moss_001.jpg"]
    assert right(again)


def test_a_file_that_has_just_changed_is_not_trusted(
    photos: Path, tmp_path: Path, reads: list[str]
) -> None:
    opened(photos, tmp_path / "cache")
    reads.clear()
    opened(photos, tmp_path / "cache")
    assert len(reads) == 48, "a later change in the same tick of the clock could not be seen"


def test_a_zip_written_anew_is_read_anew(
    photos: Path, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(photos, tmp_path / "p.zip")
    opened(aged(archive, monkeypatch), tmp_path / "cache")
    zipped(photos, archive)
    reads.clear()
    assert right(opened(archive, tmp_path / "cache"))


def test_every_flipped_bit_is_harmless(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(photos, monkeypatch)
    few = load_dataset(photos, limit=1)
    use_index(few, tmp_path / "cache")
    (path,) = (tmp_path / "cache" / "index").iterdir()
    content = path.read_bytes()
    for place in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        again = load_dataset(photos, limit=1)
        use_index(again, tmp_path / "cache")
        assert right(again)


def test_an_index_that_is_gone_foreign_or_cannot_be_written_is_no_loss(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(aged(photos, monkeypatch), tmp_path / "cache")
    (path,) = (tmp_path / "cache" / "index").iterdir()
    body = b'[2, {"x": 1}]'
    path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    assert right(opened(photos, tmp_path / "cache"))
    (tmp_path / "file").write_text("x")
    assert right(opened(photos, tmp_path / "file"))


def test_arrays_need_no_index(tmp_path: Path) -> None:
    assert right(opened(Path("digits"), tmp_path))
    assert not (tmp_path / "index").exists()
