"""Files laid where torchvision looks are read through torchvision's own code."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featbench.datasets import load_dataset
from featbench.extraction import extract


def write_idx(path: Path, array: np.ndarray) -> None:  # type: ignore[type-arg]
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + sizes + array.astype(np.uint8).tobytes())


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")]
)
def test_arrays(name: str, folder: str, tmp_path: Path) -> None:
    raw = tmp_path / name / folder / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 10)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 255, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    dataset = load_dataset(name, root=tmp_path)
    assert (len(dataset.train), len(dataset.test), len(dataset.classes)) == (20, 10, 10)
    assert dataset.train.read(0).size == (28, 28)
    found = extract(dataset, "lenet5", cache=tmp_path / "cache")
    assert found.rows_computed == 30


def test_files_are_read_as_bytes_and_keep_their_paths(tmp_path: Path) -> None:
    root = tmp_path / "dtd" / "dtd" / "dtd"
    (root / "labels").mkdir(parents=True)
    for i, part in enumerate(("train", "val", "test")):
        names = []
        for kind in ("dotted", "woven"):
            (root / "images" / kind).mkdir(parents=True, exist_ok=True)
            name = f"{kind}/{kind}_{i}.jpg"
            Image.new("RGB", (30, 30), (40 * i, 9, 9)).save(root / "images" / name)
            names.append(name)
        (root / "labels" / f"{part}1.txt").write_text("\n".join(names))
    dataset = load_dataset("dtd", root=tmp_path)
    assert dataset.classes == ("dotted", "woven")
    assert {n: len(s) for n, s in dataset.splits.items()} == {"train": 2, "val": 2, "test": 2}
    assert dataset.train.ids[0].endswith("dtd/images/dotted/dotted_0.jpg")
    assert isinstance(dataset.train.pictures[0].raw(), bytes)
