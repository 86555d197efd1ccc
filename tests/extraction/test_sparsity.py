"""Activation sparsity on a data set: exact, whatever the batch, and nothing left unsaid."""

from pathlib import Path

import pytest
import torch

import featbench as fb
from featbench.datasets import Dataset, load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.networks import create_network


@pytest.fixture
def data(photos: Path) -> Dataset:
    return load_dataset(photos)


def test_it_is_what_a_plain_forward_gives(data: Dataset) -> None:
    network = create_network("lenet5", "random")
    found = fb.activation_sparsity(network, data)
    steps = network.preprocessing
    pixels = torch.stack([torch.from_numpy(steps.pixels(data.test.read(i)).copy())
                          for i in range(len(data.test))])  # fmt: skip
    zeros, x = {}, steps.normalise(pixels)
    with torch.inference_mode():
        for name, layer in network.module.named_children():
            x = layer(x)
            if isinstance(layer, torch.nn.ReLU):
                zeros[name] = (int((x == 0).sum()), x.numel())
    assert {r.name: (r.zeros, r.total) for r in found.rows} == zeros
    assert len(zeros) == 4
    assert (found.images, found.skipped, found.left_out) == (18, (), {})


def test_the_batch_does_not_matter_nor_does_the_order_of_calls(data: Dataset) -> None:
    network = create_network("mobilenet_v3_small", "random")
    one, other = (fb.activation_sparsity(network, data, batch=b) for b in (5, 18))
    assert one == other
    assert {r.kind for r in one.rows} == {"ReLU", "Hardswish", "Hardsigmoid"}


def test_splits_and_names(data: Dataset) -> None:
    assert fb.activation_sparsity("lenet5", data, split="train").images == 30
    with pytest.raises(UsageError, match=r"no split 'tests'.* 'test'.*Splits: train, test"):
        fb.activation_sparsity("lenet5", data, split="tests")


def test_broken_images_are_left_out_and_named(photos: Path) -> None:
    (photos / "test" / "sky" / "sky_003.jpg").write_bytes(b"\xff\xd8\xff no picture")
    found = fb.activation_sparsity("lenet5", load_dataset(photos))
    assert found.images == 17
    ((name, _),) = found.skipped
    assert name.endswith("sky_003.jpg")
    with pytest.raises(FeatbenchError, match=r"sky_003\.jpg cannot be decoded"):
        fb.activation_sparsity("lenet5", load_dataset(photos), strict=True)


def test_what_is_left_out_is_named(data: Dataset) -> None:
    found = fb.activation_sparsity("mlp-sigmoid", data)
    assert (found.rows, set(found.left_out.values())) == ((), {"Sigmoid"})
    assert found.as_dict()["left_out"] == found.left_out
