"""The store can be looked after without ever losing or changing a row."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from featbench.datasets import load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction import (
    Features,
    _store,
    compact,
    export,
    export_space,
    extract,
    find_space,
    prune,
    spaces,
    verify,
)
from tests.conftest import Said


def filled(photos: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Features:
    """Extract into many small shards."""
    monkeypatch.setattr(_store, "SHARD_ROWS", 5)
    found = extract(load_dataset(photos), "lenet5", cache=cache, batch=5, engine="eager")
    monkeypatch.undo()
    return found


def test_what_is_there(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = filled(photos, tmp_path, monkeypatch)
    (space,) = spaces(tmp_path)
    assert space.key == found.spec.key
    assert len(space.shards) == 10
    assert space.size > 48 * 84 * 4
    assert time.time() - space.changed < 60
    assert space.describe().startswith("lenet5 · weights ")
    assert "eager" in space.describe()
    with pytest.raises(UsageError, match="no space"):
        find_space(tmp_path, "zz")
    with pytest.raises(UsageError, match="no such folder"):
        spaces(tmp_path / "nowhere")


def test_every_damage_is_found(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(photos, tmp_path, monkeypatch)
    assert list(verify(tmp_path)) == []
    (space,) = spaces(tmp_path)
    rng = np.random.default_rng(0)
    targets = [*space.shards, space.folder / "space.json"]
    for number in range(60):
        path = targets[number % len(targets)]
        content = bytearray(path.read_bytes())
        at = int(rng.integers(len(content)))
        if path.name == "space.json":  # inside the spec: the engine's name is no part of the key
            at = content.index(b"lenet5") + number % 6
        whole = bytes(content)
        content[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        (line,) = verify(tmp_path)
        assert path.name in line
        path.write_bytes(whole)
    assert list(verify(tmp_path)) == []


def test_merged_shards_hold_the_same_rows(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = filled(photos, tmp_path, monkeypatch)
    assert compact(tmp_path) == (10, 1)
    assert compact(tmp_path) == (1, 1)
    after = extract(load_dataset(photos), "lenet5", cache=tmp_path)
    assert (after.rows_computed, after.rows_cached) == (0, 48)
    assert np.array_equal(before.train.X, after.train.X)
    assert 0 < after.seconds_cold <= before.seconds_cold
    assert list(verify(tmp_path)) == []


def test_a_reader_beside_a_merge_misses_no_row(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(photos, tmp_path, monkeypatch)
    read, merging = _store.read_shard, threading.Event()

    def slowly(path: Path, *arguments: object, **more: object) -> object:
        if not merging.is_set():
            merging.set()
            compact(tmp_path)
        return read(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(_store, "read_shard", slowly)
    found = extract(load_dataset(photos), "lenet5", cache=tmp_path)
    assert (found.rows_computed, found.rows_cached) == (0, 48)


def test_what_can_go(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(photos, tmp_path, monkeypatch)
    (space,) = spaces(tmp_path)
    (space.folder / "x.damaged").write_bytes(b"x" * 10)
    young, old = (space.folder / f"{n}.h5.1-{n}.tmp" for n in ("young", "old"))
    for path in (young, old):
        path.write_bytes(b"x" * 5)
    os.utime(old, (0, 0))
    assert prune(tmp_path) == (2, 15)
    assert young.exists()
    assert prune(tmp_path, older_than_days=1) == (0, 0)
    assert prune(tmp_path, space=space.key[:8])[0] == 12
    assert spaces(tmp_path) == []


def test_plain_files_of_a_data_set(photos: Path, tmp_path: Path) -> None:
    found = extract(load_dataset(photos), "lenet5", cache=tmp_path / "c")
    export(found, tmp_path / "f.npz")
    with np.load(tmp_path / "f.npz") as arrays:
        assert np.array_equal(arrays["X"][arrays["split"] == "test"], found.test.X)
        assert json.loads(str(arrays["classes"])) == ["moss", "rust", "sky"]
    with pytest.raises(UsageError, match=r"f.csv: expected a file that ends with .h5"):
        export(found, tmp_path / "f.csv")
    with pytest.raises(FeatbenchError, match="cannot be written"):
        export(found, tmp_path / "f.npz" / "x.h5")


def test_parquet(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = extract(load_dataset(photos), "lenet5", cache=tmp_path / "c")
    export(found, tmp_path / "f.parquet")
    table = pd.read_parquet(tmp_path / "f.parquet")
    assert np.array_equal(np.stack(table["X"])[: len(found.train.y)], found.train.X)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FeatbenchError, match=r"pip install 'featbench\[parquet\]'"):
        export(found, tmp_path / "g.parquet")
    assert not (tmp_path / "g.parquet").exists()


def test_plain_files_of_a_space(photos: Path, tmp_path: Path) -> None:
    found = extract(load_dataset(photos), "lenet5", cache=tmp_path / "c")
    (space,) = spaces(tmp_path / "c")
    assert export_space(space, tmp_path / "s.h5") == 48
    with h5py.File(tmp_path / "s.h5") as file:
        rows = dict(zip(file["image"].asstr()[:], file["X"][:], strict=True))
    digests = found.dataset.train.digests
    assert all(np.array_equal(rows[d], x) for d, x in zip(digests, found.train.X, strict=True))


def test_the_commands(featbench: Callable[..., Said], photos: Path) -> None:
    assert featbench("cache", "ls").code == 2
    featbench("extract", "--backbone", "lenet5", "--data", photos)
    listed = featbench("cache", "ls")
    assert "lenet5 · weights" in listed.out
    (space,) = json.loads(featbench("cache", "ls", "--json").out)
    assert featbench("cache", "verify").out == "1 shards in 1 spaces are whole\n"
    assert featbench("cache", "compact").out == "1 shards before, 1 after\n"
    assert featbench("cache", "export", space["key"][:6], "-o", "rows.npz").code == 0
    (shard,) = Path("cache").glob("*/*.h5")
    shard.write_bytes(shard.read_bytes() + b"x")
    damaged = featbench("cache", "verify")
    assert damaged.code == 4
    assert shard.name in damaged.out
    assert "deleted" in featbench("cache", "prune", "--space", space["key"][:6]).out
    assert json.loads(featbench("cache", "ls", "--json").out) == []
