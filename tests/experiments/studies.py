"""What the studies' recipes look for, made small: data sets and weights, as torchvision wants."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torchvision import datasets, models

RNG = np.random.default_rng(0)


def pictures(count: int, size: int, level: int) -> NDArray[np.uint8]:
    """Return noise (count, size, size, 3) about a level of brightness, which tells the class."""
    return RNG.integers(level - 30, level + 30, (count, size, size, 3)).astype(np.uint8)


def lay_stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write STL-10's binary files: three classes, five images of each to train on, two to test."""
    folder = root / "stl10" / "stl10_binary"
    folder.mkdir(parents=True)
    for part, count in (("train", 5), ("test", 2), ("unlabeled", 1)):
        whole = np.concatenate([pictures(count, 96, level) for level in (50, 120, 200)])
        (folder / f"{part}_X.bin").write_bytes(whole.transpose(0, 3, 2, 1).tobytes())
        labels = np.repeat(np.array([1, 2, 3], np.uint8), count)
        (folder / f"{part}_y.bin").write_bytes(labels.tobytes())
    (folder / "class_names.txt").write_text("airplane\nbird\ncar\n")

    def named(listed: list[list[str]]) -> list[list[str]]:
        content = [(name, (folder / name).read_bytes()) for name, _ in listed]
        return [[name, hashlib.md5(data).hexdigest()] for name, data in content]

    for part in ("train_list", "test_list"):  # torchvision compares checksums
        monkeypatch.setattr(datasets.STL10, part, named(getattr(datasets.STL10, part)))


def lay_cars(root: Path) -> None:
    """Write Stanford Cars' annotations and pictures: three makes."""
    folder = root / "stanford-cars" / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    makes = np.array(["Acura TL", "BMW M3", "Fiat 500"], dtype=object)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": makes})
    for part, count, notes in (("train", 4, folder / "devkit" / "cars_train_annos.mat"),
                               ("test", 2, folder / "cars_test_annos_withlabels.mat")):  # fmt: skip
        (folder / f"cars_{part}").mkdir()
        rows = []
        for make in (1, 2, 3):
            for pixels in pictures(count, 64, 60 * make):
                name = f"{len(rows) + 1:05d}.jpg"
                Image.fromarray(pixels).save(folder / f"cars_{part}" / name)
                rows.append((name, make))
        fields = [("fname", object), ("class", np.uint8)]
        savemat(notes, {"annotations": np.array(rows, dtype=fields)})


def write_zip(path: Path, classes: tuple[str, ...], size: int, train: int, test: int) -> None:
    """Write a zip of class folders in splits."""
    with zipfile.ZipFile(path, "w") as archive:
        for split, count in (("train", train), ("test", test)):
            for place, name in enumerate(classes):
                for number, pixels in enumerate(pictures(count, size, 60 + 60 * place)):
                    with archive.open(f"{split}/{name}/{number:03d}.png", "w") as file:
                        Image.fromarray(pixels).save(file, "PNG")


def lay_weights(home: Path, *names: str) -> None:
    """Write weights where torch.hub keeps them: a number a channel, so the files are small."""
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        chosen = models.get_model_weights(name)["IMAGENET1K_V1"]
        with torch.device("meta"):
            shapes = models.get_model(name, weights=None).state_dict()
        tensors = {key: _few_numbers(key, value) for key, value in shapes.items()}
        torch.save(tensors, folder / chosen.url.rpartition("/")[2])


def _few_numbers(key: str, like: torch.Tensor) -> torch.Tensor:
    if like.ndim > 1:  # about the mean of its inputs
        draw = torch.rand(len(like), *[1] * (like.ndim - 1)) + 0.5
        return (draw / like[0].numel()).expand(like.shape)
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    kept = {"running_var": 1.0, "weight": 0.5}
    return torch.full(like.shape, kept.get(key.rpartition(".")[2], 0.0))
