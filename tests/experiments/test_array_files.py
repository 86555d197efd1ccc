"""Files of arrays that others wrote: nothing in them is run, believed or followed outwards."""

import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from featbench.errors import FeatbenchError, UsageError
from featbench.experiments import load_features
from featbench.experiments._array_files import _Parquet
from featbench.experiments._features_file import _read_whole
from tests.experiments.test_features_file import made, write


def test_numbered_columns_are_rows_in_the_order_of_their_numbers() -> None:
    usual = made()
    table = pd.DataFrame({"y": usual["y"], "id": usual["id"]})
    for i in reversed(range(12)):  # as text, x_10 comes before x_2
        table[f"x_{i}"] = np.full(40, i, dtype=np.float32)
    file = _Parquet(Path("t.parquet"), table.set_index("id"))
    assert set(file.names) == {"id", "y", "x"}
    names = {"X": "x", "y": "y", "split": "", "id": "id", "group": ""}
    read = _read_whole(Path("t.parquet"), file, names)
    assert read.rows[0].tolist() == list(range(12))
    assert read.ids[1] == "item1"
    lists = _Parquet(Path("t.parquet"), pd.DataFrame({"X": [[1.0, 2.0], [1.0]]}))
    with pytest.raises(UsageError, match=r"row 1 holds 1 values; every row needs as many"):
        lists.read("X")
    twice = _Parquet(Path("t.parquet"), pd.DataFrame({"X1": [0.0], "X_1": [0.0]}))
    with pytest.raises(UsageError, match="have one number"):
        twice.read("X")


def test_parquet_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "f.parquet").write_bytes(b"PAR1")
    with pytest.raises(FeatbenchError, match=r"pip install 'featbench\[parquet\]'"):
        load_features(tmp_path / "f.parquet")


@pytest.mark.parametrize("name", ["none.h5", "text.csv", "text.h5", "text.npz"])
def test_files_that_are_not_what_they_say(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("a,b")
    (tmp_path / "text.h5").write_text("a,b")
    (tmp_path / "text.npz").write_text("a,b")
    with pytest.raises(UsageError, match=rf"{name}: (no such file|expected|cannot be read)"):
        load_features(tmp_path / name)


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("exploded",)


def test_no_object_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("X", "y", "id", "classes"):
        columns = made(**{name: np.array([Bomb()] * 40, dtype=object)})
        np.savez(tmp_path / "f.npz", allow_pickle=True, **columns)
        expected = f"{name}: holds Python objects"
        with pytest.raises(UsageError, match=expected):
            load_features(tmp_path / "f.npz")
    bare = tmp_path / "bare.npz"
    with zipfile.ZipFile(bare, "w") as archive:
        archive.writestr("X.npy", pickle.dumps(Bomb()))
    with pytest.raises(UsageError, match=r"X: cannot be read"):
        load_features(bare)
    assert not (tmp_path / "exploded").exists()


def test_an_array_the_file_cannot_hold_is_refused_before_it_is_made(tmp_path: Path) -> None:
    npz = tmp_path / "f.npz"
    write(npz, made(X=None))
    header = b"\x93NUMPY\x01\x00"
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 64)}\n"
    with zipfile.ZipFile(npz, "a") as archive:
        archive.writestr("X.npy", header + len(text).to_bytes(2, "little") + text + bytes(64))
    with pytest.raises(UsageError, match=r"X: declares .* bytes but holds 64"):
        load_features(npz)
    h5 = write(tmp_path / "f.h5", made(X=None))
    with h5py.File(h5, "a") as file:
        file.create_dataset("X", shape=(2**40, 64), dtype="f4", chunks=(64, 64))
    with pytest.raises(UsageError, match=r"X: declares .* bytes but holds 0"):
        load_features(h5)


def test_an_array_this_machine_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featbench.experiments._array_files.memory_bytes", lambda: 500)
    for ending in (".h5", ".npz"):
        with pytest.raises(UsageError, match=r"X: needs .* GiB of memory; write fewer rows"):
            load_features(write(tmp_path / f"f{ending}", made()))


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    other = write(tmp_path / "other.h5", made())
    raw = tmp_path / "raw.bin"
    raw.write_bytes(made()["X"].tobytes())
    layout = h5py.VirtualLayout(shape=(40, 6), dtype="f4")
    layout[:] = h5py.VirtualSource(other, "X", shape=(40, 6))
    for i, expected in enumerate(("is a link", "is a link", "other files", "other files")):
        path = write(tmp_path / f"{i}.h5", made(X=None))
        with h5py.File(path, "a") as file:
            if i == 0:
                file["X"] = h5py.ExternalLink(str(other), "X")
            elif i == 1:
                file["X"] = h5py.SoftLink("/y")
            elif i == 2:
                file.create_virtual_dataset("X", layout)
            else:
                file.create_dataset("X", (40, 6), "f4", external=[(raw, 0, 960)])
        with pytest.raises(UsageError, match=expected):
            load_features(path)


def test_ragged_rows_and_references_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.h5", made(X=None))
    with h5py.File(path, "a") as file:
        ragged = file.create_dataset("X", (40,), h5py.vlen_dtype(np.float32))
        ragged[0] = np.zeros(3)
    with pytest.raises(UsageError, match="rows differ in length"):
        load_features(path)
