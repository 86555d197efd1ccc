"""The key hangs on all that turns bytes into a row, and on nothing else."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from featbench import machine
from featbench.datasets import load_dataset
from featbench.extraction import (
    FeatureSpec,
    _pipeline,
    _store,
    extract,
    extract_layers,
    spec_of,
)
from featbench.networks import create_network

SPEC = spec_of(create_network("lenet5"))

CHANGED: dict[str, Any] = {
    "network": "lenet6",
    "weights_sha256": "0" * 64,
    "layer": "conv2",
    "pooling": "max",
    "preprocessing": {**SPEC.preprocessing, "interpolation": "bicubic"},
    "decoder": "another",
    "exif": "ignored",
    "precision": "bfloat16",
    "view": "rotate",
    "view_seed": 1,
    "format": 2,
    "storage": "half",
}
STEPS: dict[str, Any] = {
    "resize": (33, 33),
    "crop": (30, 30),
    "interpolation": "nearest",
    "mean": (0.4,),
    "std": (0.4,),
    "antialias": False,
    "resizer": "another",
}


def test_the_lists_here_are_complete() -> None:
    assert set(CHANGED) == {f.name for f in dataclasses.fields(FeatureSpec)}
    assert set(STEPS) == set(SPEC.preprocessing)


@pytest.mark.parametrize("field", CHANGED)
def test_every_field_changed_alone_changes_the_key(field: str) -> None:
    assert dataclasses.replace(SPEC, **{field: CHANGED[field]}).key != SPEC.key


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_the_preprocessing_changes_the_key(step: str) -> None:
    changed = {**SPEC.preprocessing, step: STEPS[step]}
    assert dataclasses.replace(SPEC, preprocessing=changed).key != SPEC.key


NOT_IN_THE_KEY = {
    "dataset", "network", "layers", "device", "batch", "engine", "cache", "strict", "rows",
    "reporter",
}  # fmt: skip
IN_THE_KEY = {
    "pooling": "pooling", "precision": "precision", "augment": "view", "view_seed": "view_seed",
    "storage": "storage",
    "views": "",  # how many views there are is in no row: each has its number
}  # fmt: skip


def test_every_option_of_an_extraction_is_in_the_key_or_is_not() -> None:
    """A new option must be entered here: does a row hang on it?"""
    options = set(inspect.signature(extract_layers).parameters)
    assert options == NOT_IN_THE_KEY | set(IN_THE_KEY)
    described = set(inspect.signature(spec_of).parameters)
    assert {name for name in IN_THE_KEY.values() if name} <= described
    assert described == {"network", "layer", *filter(None, IN_THE_KEY.values())}


def test_batch_workers_paths_labels_and_splits_change_no_key(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(source: Path, **options: Any) -> str:
        return extract(load_dataset(source), "lenet5", cache=tmp_path / "c", **options).spec.key

    first = key(photos)
    (photos / "train" / "moss").rename(photos / "train" / "lichen")
    (photos / "test" / "sky" / "sky_000.jpg").rename(photos / "train" / "sky" / "moved.jpg")
    others = [key(photos.rename(tmp_path / "moved"), batch=3)]
    others += [key(tmp_path / "moved", device="cpu", engine="eager", strict=True, rows=False)]
    for module in (_pipeline, _store, machine):
        monkeypatch.setattr(module, "cores", lambda: 1)
    others += [key(tmp_path / "moved")]
    assert set(others) == {first}


def test_the_key_is_the_same_in_another_process_and_order() -> None:
    turned = dict(reversed(SPEC.preprocessing.items()))
    assert dataclasses.replace(SPEC, preprocessing=turned).key == SPEC.key
    assert spec_of(create_network("lenet5", classes=3)).key == SPEC.key
    assert len(SPEC.key) == 64
