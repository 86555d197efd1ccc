"""Sixteen bits a value: which, is decided by a row alone, and written down with it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from featbench.datasets import load_dataset
from featbench.errors import DamagedCacheError, UsageError
from featbench.extraction import (
    Features,
    _extract,
    _store,
    compact,
    export_space,
    extract,
    spaces,
    verify,
)
from featbench.extraction._half import Kept
from featbench.extraction._shard import Shard, read_shard


def made(rows: list[list[float]]) -> Kept:
    return Kept.of(np.array(rows, np.float32), "half")


def test_a_row_is_float16_or_where_that_overflows_bfloat16() -> None:
    kept = made([[1.0009765625, 65504.0], [1.0009765625, 65520.0], [1e-7, -7e4]])
    assert kept.wide.tolist() == [False, True, True]
    numbers = kept.numbers()
    assert numbers.dtype == np.float32
    expected = torch.tensor([[1.0009765625, 65520.0], [1e-7, -7e4]]).bfloat16().float().numpy()
    assert np.array_equal(numbers[1:], expected)
    assert numbers[0].tolist() == [1.0009765625, 65504.0]  # eleven bits


def test_a_row_that_has_faded_is_bfloat16() -> None:
    kept = made([[3e-8, 1e-9, 0.0], [1.0, 1e-9, 0.0], [0.0, 0.0, 0.0]])
    assert kept.wide.tolist() == [True, False, False]
    np.testing.assert_allclose(kept.numbers()[0], [3e-8, 1e-9, 0], rtol=2**-8)


def test_rows_that_all_fit_are_float16_without_a_copy() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    kept = Kept.of(rows, "half")
    assert np.array_equal(kept.numbers(), rows.astype(np.float16))
    assert np.shares_memory(kept.numbers(), kept.values)


def test_what_is_no_number_stays_so_and_makes_no_row_wide() -> None:
    kept = made([[np.inf, -np.inf, np.nan, -0.0]])
    assert not kept.wide.any()
    assert np.array_equal(kept.numbers(), [[np.inf, -np.inf, np.nan, 0]], equal_nan=True)
    assert np.signbit(kept.numbers()[0, 3])


def test_a_row_hangs_on_no_neighbour() -> None:
    rows = (np.random.default_rng(1).normal(size=(40, 6)) * 3e4).astype(np.float32)
    whole = Kept.of(rows, "half")
    assert 0 < whole.wide.sum() < 40
    for i in range(40):
        alone = Kept.of(rows[i : i + 1], "half")
        assert np.array_equal(alone.values[0], whole.values[i])
        assert alone.wide[0] == whole.wide[i]


def loud(engine: Any) -> Callable[..., Any]:
    """Some images' values are beyond float16, by their content alone."""

    def call(pixels: Any) -> tuple[Any, ...]:
        (rows,) = engine(pixels)
        means = pixels.reshape(len(pixels), -1).mean(1)
        return (rows * np.where(means > 110, np.float32(1e6), np.float32(1))[:, None, None, None],)

    call.name, call.batch = engine.name, engine.batch  # type: ignore[attr-defined]
    return call


@pytest.fixture
def mixed(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Features]:
    """Extract rows at a cut, of which some are bfloat16."""
    start = _extract.start_engine
    monkeypatch.setattr(_extract, "start_engine", lambda *a, **k: loud(start(*a, **k)))

    def run(cache: str = "cache", **options: Any) -> Features:
        options = {"layer": "conv2", "storage": "half", "engine": "eager", "batch": 5, **options}
        return extract(load_dataset(photos), "lenet5", cache=tmp_path / cache, **options)

    return run


def test_rows_just_computed_are_the_stored_ones(
    mixed: Callable[..., Features], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "SHARD_ROWS", 7)
    first, again = mixed(), mixed()
    full = mixed(storage="float32")
    assert (first.rows_computed, again.rows_computed) == (48, 0)
    assert first.spec.key != full.spec.key
    for name in ("train", "test"):
        got, exact = first.splits[name].X, full.splits[name].X
        assert got.tobytes() == again.splits[name].X.tobytes()
        assert got.dtype == np.float32  # some rows are bfloat16
        big = np.abs(exact).reshape(len(exact), -1).max(1) > 65504
        assert 0 < big.sum() < len(big)
        assert np.array_equal(got[~big], exact[~big].astype(np.float16))
        assert np.array_equal(got[big], torch.from_numpy(exact[big]).bfloat16().float().numpy())


def test_a_lost_shard_of_a_half_space_is_computed_again_to_the_same_rows(
    mixed: Callable[..., Features], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "SHARD_ROWS", 7)
    first = mixed()
    shards = sorted((tmp_path / "cache" / first.spec.key).glob("*.h5"))
    shards[0].unlink()
    content = bytearray(shards[1].read_bytes())
    content[len(content) // 2] ^= 4
    shards[1].write_bytes(content)
    assert len(list(verify(tmp_path / "cache"))) == 1
    again = mixed()
    assert 0 < again.rows_computed < 48
    assert again.train.X.tobytes() == first.train.X.tobytes()


def test_the_commands_of_the_cache_know_a_half_space(
    mixed: Callable[..., Features], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "SHARD_ROWS", 5)
    first = mixed()
    monkeypatch.undo()
    cache = tmp_path / "cache"
    (space,) = spaces(cache)
    assert "kept in half" in space.describe()
    assert list(verify(cache)) == []
    assert compact(cache) == (10, 1)
    assert list(verify(cache)) == []
    assert mixed().train.X.tobytes() == first.train.X.tobytes()
    (space,) = spaces(cache)
    assert export_space(space, tmp_path / "out.h5") == 48
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["X"].dtype == np.float32
        rows = dict(zip(file["image"][:], file["X"][:], strict=True))
    digest = first.dataset.train.digests[3].encode()
    assert np.array_equal(rows[digest], first.train.X[3])


def test_the_file_says_what_its_words_are(tmp_path: Path) -> None:
    path = shard().write(tmp_path)
    with h5py.File(path) as file:
        assert file.attrs["storage"] == "half"
        assert "bfloat16 in the rows where wide is 1" in file["X"].attrs["encoding"]
        assert (file["X"].dtype, file["wide"].dtype) == (np.uint16, np.uint8)
        assert file["wide"][:].tolist() == [0, 1]
    assert path.stat().st_size < 20_000


def shard() -> Shard:
    images = np.array([b"a" * 64, b"b" * 64])
    return Shard.of(made([[1, 2, 3], [4, 5, 1e6]]), images, np.zeros(2, np.int32), 1.0)


def other_words(file: h5py.File) -> None:
    del file["X"]
    file["X"] = np.zeros((2, 3), np.int16)


def other_flags(file: h5py.File) -> None:
    file["wide"][0] = 2


def no_flags(file: h5py.File) -> None:
    del file["wide"]


def wide_flags(file: h5py.File) -> None:
    del file["wide"]
    file["wide"] = np.zeros(2, np.int64)


def more_flags(file: h5py.File) -> None:
    del file["wide"]
    file["wide"] = np.zeros(3, np.uint8)


def linked_flags(file: h5py.File) -> None:
    del file["wide"]
    file["wide"] = h5py.SoftLink("/view")


def huge_flags(file: h5py.File) -> None:
    for name, dtype in (("X", "u2"), ("image", "S64"), ("view", "i4"), ("wide", "u1")):
        del file[name]
        shape = (2**40, 3) if name == "X" else (2**40,)
        file.create_dataset(name, shape=shape, dtype=dtype, chunks=True)


def another_storage(file: h5py.File) -> None:
    file.attrs["storage"] = "quarter"


def listed_storage(file: h5py.File) -> None:
    file.attrs["storage"] = ["half", "half"]


@pytest.mark.parametrize(
    "harm",
    [other_words, other_flags, no_flags, wide_flags, more_flags, linked_flags, huge_flags,
     another_storage, listed_storage],
)  # fmt: skip
def test_a_half_shard_that_is_not_honest_is_refused(
    harm: Callable[[h5py.File], None], tmp_path: Path
) -> None:
    path = shard().write(tmp_path)
    assert read_shard(path, (3,), storage="half").kept.numbers()[1, 2] == pytest.approx(1e6, 0.01)
    with h5py.File(path, "r+") as file:
        harm(file)
    renamed = path.with_name(f"{hashlib.sha256(path.read_bytes()).hexdigest()}.h5")
    path.rename(renamed)
    with pytest.raises(DamagedCacheError):
        read_shard(renamed)


def test_words_are_never_read_as_floats_nor_floats_as_words(tmp_path: Path) -> None:
    floats = Shard(np.ones((2, 3), np.float32), shard().images, shard().views, 1.0)
    for one, other in ((shard(), "float32"), (floats, "half")):
        with pytest.raises(DamagedCacheError, match=f"expected {other}"):
            read_shard(one.write(tmp_path), storage=other)


def test_an_unknown_storage_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="storage='quarter': expected float32, half"):
        extract(load_dataset(photos), "lenet5", cache=tmp_path, storage="quarter")
