"""Data sets that torchvision downloads, or finds where it was told to look."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featbench.datasets._dataset import Dataset, Picture, Split
from featbench.datasets._pictures import ArrayPicture, FilePicture
from featbench.datasets._registry import register_dataset
from featbench.errors import FeatbenchError


@dataclass(frozen=True)
class _Spec:
    """How one torchvision class is asked for its splits, and what it wants to find."""

    cls: str
    splits: dict[str, dict[str, Any]]
    wants: str


_TRAIN_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TRAIN_TEST = {s: {"split": s} for s in ("train", "test")}
_THREE = {s: {"split": s} for s in ("train", "val", "test")}

_SETS = {
    "cifar10": _Spec("CIFAR10", _TRAIN_FLAG, "cifar-10-batches-py/ (from cifar-10-python.tar.gz)"),
    "cifar100": _Spec("CIFAR100", _TRAIN_FLAG, "cifar-100-python/ (from cifar-100-python.tar.gz)"),
    "mnist": _Spec("MNIST", _TRAIN_FLAG, "MNIST/raw/ with the four *-ubyte files"),
    "fashion-mnist": _Spec("FashionMNIST", _TRAIN_FLAG,
                           "FashionMNIST/raw/ with the four *-ubyte files"),
    "stl10": _Spec("STL10", _TRAIN_TEST, "stl10_binary/ (from stl10_binary.tar.gz)"),
    "flowers102": _Spec("Flowers102", _THREE, "flowers-102/ with jpg/, imagelabels.mat, setid.mat"),
    "oxford-pets": _Spec("OxfordIIITPet",
                         {"train": {"split": "trainval"}, "test": {"split": "test"}},
                         "oxford-iiit-pet/ with images/ and annotations/"),
    "food101": _Spec("Food101", _TRAIN_TEST, "food-101/ with images/ and meta/"),
    "dtd": _Spec("DTD", _THREE, "dtd/dtd/ with images/ and labels/"),
    "aircraft": _Spec("FGVCAircraft", _THREE, "fgvc-aircraft-2013b/ with data/"),
    "stanford-cars": _Spec("StanfordCars", _TRAIN_TEST,
                           "stanford_cars/ with cars_train/, cars_test/, devkit/ and "
                           "cars_test_annos_withlabels.mat"),
}  # fmt: skip


def _build(name: str, root: Path) -> Dataset:
    spec = _SETS[name]
    folder = root / name
    opened = {split: _open(name, spec, folder, options) for split, options in spec.splits.items()}
    splits = {split: _split(split, data, folder) for split, data in opened.items()}
    names = getattr(opened["train"], "classes", None)
    count = 1 + max(int(split.labels.max()) for split in splits.values())
    classes = tuple(str(c) for c in names) if names else tuple(str(i) for i in range(count))
    return Dataset(name, name, classes, splits)


def _open(name: str, spec: _Spec, folder: Path, options: dict[str, Any]) -> Any:
    import torchvision.datasets

    cls: Callable[..., Any] = getattr(torchvision.datasets, spec.cls)
    keywords: dict[str, Any] = {**options, "root": str(folder)}
    if "loader" in inspect.signature(cls).parameters:
        keywords["loader"] = Path  # the path itself: bytes are read, hashed and decoded by us
    try:
        return cls(**keywords, download=False)
    except (RuntimeError, OSError):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        return cls(**keywords, download=True)
    except Exception as error:  # the network, a server or a checksum: torchvision raises anything
        reason = str(error).partition("\n")[0].rstrip(" :") or type(error).__name__
        raise FeatbenchError(
            f"data set {name!r}: not found in {folder} and cannot be downloaded ({reason})\n"
            f"put {spec.wants} into {folder}, or set FEATBENCH_DATA to what holds {name}/, "
            "or give --data a folder, a zip or a table of its images"
        ) from error


def _split(split: str, data: Any, folder: Path) -> Split:
    labels = next((getattr(data, a) for a in ("targets", "labels") if hasattr(data, a)), None)
    if labels is None:
        labels = [data[i][1] for i in range(len(data))]
    pictures: list[Picture] = []
    ids = []
    for i in range(len(data)):
        image = data[i][0]
        if isinstance(image, Path):
            pictures.append(FilePicture(image))
            ids.append(image.relative_to(folder).as_posix())
        else:
            pictures.append(ArrayPicture(np.asarray(image)))
            ids.append(f"{split}/{i:06d}")
    return Split(tuple(ids), np.asarray(labels, dtype=np.int64), tuple(pictures))


for _name in _SETS:
    register_dataset(_name)(_build)
