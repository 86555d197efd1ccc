"""The key hangs on all that turns bytes into a row, and on nothing else."""

import dataclasses
from typing import Any

import pytest

from featbench.extraction import FeatureSpec, spec_of
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
}
STEPS: dict[str, Any] = {
    "resize": (33, 33),
    "crop": (32, 32),
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


def test_the_key_is_the_same_in_another_process_and_order() -> None:
    turned = dict(reversed(SPEC.preprocessing.items()))
    assert dataclasses.replace(SPEC, preprocessing=turned).key == SPEC.key
    assert spec_of(create_network("lenet5", classes=3)).key == SPEC.key
    assert len(SPEC.key) == 64
