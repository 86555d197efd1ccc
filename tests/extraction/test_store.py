"""What is in the cache is right, or it is not read."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from featbench import files
from featbench.datasets import load_dataset
from featbench.errors import DamagedCacheError, FeatbenchError
from featbench.extraction import Features, _shard, _store, extract
from featbench.extraction._shard import Shard, read_shard
from tests.conftest import Notes


def shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.h5"))


def run(photos: Path, cache: Path, notes: Notes | None = None) -> Features:
    return extract(load_dataset(photos), "lenet5", cache=cache, reporter=notes or Notes())


def test_the_folder_describes_itself(photos: Path, tmp_path: Path) -> None:
    found = run(photos, tmp_path / "cache")
    described = json.loads((tmp_path / "cache" / found.spec.key / "space.json").read_text())
    assert described["spec"]["network"] == "lenet5"
    (shard,) = shards(tmp_path / "cache")
    assert shard.stem == hashlib.sha256(shard.read_bytes()).hexdigest()
    with h5py.File(shard) as file:
        assert set(file) == {"X", "image", "view"}
        first = (photos / found.train.ids[0]).read_bytes()
        assert hashlib.sha256(first).hexdigest().encode() in file["image"][:]


@pytest.mark.parametrize("at", [0, 500, -1])
def test_a_flipped_bit_sets_the_shard_aside_and_the_rows_are_computed_again(
    at: int, photos: Path, tmp_path: Path
) -> None:
    cache, notes = tmp_path / "cache", Notes()
    clean = run(photos, cache)
    (shard,) = shards(cache)
    content = bytearray(shard.read_bytes())
    content[at] ^= 1
    shard.write_bytes(content)
    again = run(photos, cache, notes)
    assert again.rows_computed == 48
    assert np.array_equal(again.train.X, clean.train.X)
    assert any("set aside" in line for line in notes.lines)
    assert list(cache.glob("*/*.damaged"))
    assert run(photos, cache).rows_computed == 0


def test_a_shard_of_another_space_is_never_read(photos: Path, tmp_path: Path) -> None:
    found = run(photos, tmp_path / "cache")
    folder = tmp_path / "cache" / found.spec.key
    foreign = Shard(np.zeros((1, 3), np.float32), np.array([b"0" * 64]), np.zeros(1, np.int32), 1.0)
    foreign.write(folder)
    notes = Notes()
    assert run(photos, tmp_path / "cache", notes).rows_computed == 0
    assert any("rows of shape (3,), expected (84,)" in line for line in notes.lines)


@pytest.mark.parametrize("shape", [[85], [2**60], [-1], "wide"])
def test_a_forged_description_is_not_believed(shape: object, photos: Path, tmp_path: Path) -> None:
    found = run(photos, tmp_path / "cache")
    path = tmp_path / "cache" / found.spec.key / "space.json"
    described = json.loads(path.read_text())
    del described["sha256"]
    path.write_bytes(_store._sealed({**described, "row_shape": shape}))
    for shard in shards(tmp_path / "cache"):
        shard.unlink()
    if shape == [85]:  # not absurd in itself
        with pytest.raises(DamagedCacheError, match=r"shape \(85,\), but they have \(84,\)"):
            run(photos, tmp_path / "cache")
    else:
        assert np.array_equal(run(photos, tmp_path / "cache").train.X, found.train.X)


def renamed_to_its_hash(path: Path) -> Path:
    target = path.with_name(f"{hashlib.sha256(path.read_bytes()).hexdigest()}.h5")
    path.rename(target)
    return target


def link_outside(file: h5py.File) -> None:
    del file["X"]
    file["X"] = h5py.ExternalLink("other.h5", "X")


def soft_link(file: h5py.File) -> None:
    del file["X"]
    file["X"] = h5py.SoftLink("/view")


def wrong_dtype(file: h5py.File) -> None:
    del file["X"]
    file["X"] = np.zeros((2, 3))


def wrong_length(file: h5py.File) -> None:
    del file["view"]
    file["view"] = np.zeros(3, np.int32)


def huge_shape(file: h5py.File) -> None:
    for name, dtype in (("X", np.float32), ("image", "S64"), ("view", np.int32)):
        del file[name]
        shape = (2**40, 3) if name == "X" else (2**40,)
        file.create_dataset(name, shape=shape, dtype=dtype, chunks=True)


def wrong_version(file: h5py.File) -> None:
    file.attrs["version"] = 99


@pytest.mark.parametrize(
    "harm", [link_outside, soft_link, wrong_dtype, wrong_length, huge_shape, wrong_version]
)
def test_a_file_that_is_no_honest_shard_is_refused(
    harm: Callable[[h5py.File], None], tmp_path: Path
) -> None:
    good = Shard(np.ones((2, 3), np.float32), np.array([b"a" * 64, b"b" * 64]),
                 np.zeros(2, np.int32), 1.0)  # fmt: skip
    path = good.write(tmp_path)
    assert np.array_equal(read_shard(path).rows, good.rows)
    with h5py.File(path, "r+") as file:
        harm(file)
    with pytest.raises(DamagedCacheError):
        read_shard(renamed_to_its_hash(path))


def test_a_full_disk_is_a_clear_error_and_loses_nothing_finished(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    written = []

    def refuse(path: Path, content: bytes) -> None:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        files.write_whole(path, content)

    monkeypatch.setattr(_store, "SHARD_ROWS", 8)
    monkeypatch.setattr(_shard, "write_whole", refuse)
    with pytest.raises(FeatbenchError, match=r"No space left.*free some space.*are kept"):
        extract(load_dataset(photos), "lenet5", cache=cache, batch=8)
    monkeypatch.undo()
    assert not list(cache.glob("*/*.tmp"))
    kept = sum(len(read_shard(path).images) for path in shards(cache))
    assert kept == 16
    assert run(photos, cache).rows_computed == 48 - kept


@pytest.mark.parametrize("gone", [True, False])
def test_another_refusal_is_not_taken_for_a_full_disk(
    gone: bool, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        if not gone:
            raise PermissionError(13, "Permission denied")
        shutil.rmtree(path.parent)
        files.write_whole(path, content)

    monkeypatch.setattr(_shard, "write_whole", refuse)
    expected = "was removed while rows were written" if gone else "Permission denied.; mend that"
    with pytest.raises(FeatbenchError, match=expected) as caught:
        extract(load_dataset(photos), "lenet5", cache=tmp_path / "cache")
    assert "free some space" not in str(caught.value)


def test_a_reader_never_sees_a_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    files.write_whole(target, b"old")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        files.write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_format_of_today_is_pinned() -> None:
    """A shard written by this version, byte for byte: another result needs another version."""
    shard = Shard(np.array([[1.5, -2.0]], np.float32), np.array([b"a" * 64]),
                  np.array([0], np.int32), 0.25)  # fmt: skip
    content = shard._as_hdf5()
    assert content == shard._as_hdf5()
    with h5py.File.in_memory(content) as file:
        assert (file.attrs["encoding"], file.attrs["version"]) == ("featbench-shard", 1)
        assert file["X"].fletcher32
    assert _shard._VERSION == 1
