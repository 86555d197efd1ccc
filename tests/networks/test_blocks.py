"""Blocks have the names and the parameter counts that the docs state."""

import pytest
import torch

from featbench.networks import create_network

NAMES = {
    "resnet50": ["stem", "layer1", "layer2", "layer3", "layer4"],
    "mobilenet_v2": [f"features.{i}" for i in range(19)],
    "efficientnet_b0": [f"features.{i}" for i in range(9)],
    "densenet121": [
        "stem", "features.denseblock1", "features.transition1", "features.denseblock2",
        "features.transition2", "features.denseblock3", "features.transition3",
        "features.denseblock4",
    ],
    "convnext_tiny": [f"features.{i}" for i in range(8)],
    "swin_t": [f"features.{i}" for i in range(8)],
    "vit_b_16": ["stem", *(f"encoder.layers.encoder_layer_{i}" for i in range(12))],
    "efficientnet_lite0": ["stem", *(f"blocks.{i}" for i in range(7))],
    "vgg16": [
        *(f"features.{i}" for i in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
        "classifier.0", "classifier.3",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_block_names(name: str) -> None:
    with torch.device("meta"):
        network = create_network(name, "random")
    assert [block.name for block in network.blocks] == NAMES[name]


@pytest.mark.parametrize(
    ("blocks", "trainable"), [(0, 401_604), (1, 15_366_340), ("all", 23_909_636)]
)
def test_resnet50_with_196_classes(blocks: int | str, trainable: int) -> None:
    with torch.device("meta"):
        network = create_network("resnet50", "random", 196)
    assert network.parameters(blocks) == (23_909_636, trainable)
    assert network.parameters(str(blocks)) == (23_909_636, trainable)


def test_what_follows_the_last_stage_belongs_to_the_last_block() -> None:
    network = create_network("efficientnet_lite0", "random")
    above = set(network.cut(network.place_of(1)).suffix.state_dict())
    assert {n for n in above if n.startswith("conv_head")}
    assert network.first_trained(1) == "blocks.6"
    assert network.first_trained(0) == "classifier"
    assert network.first_trained("all") == network.first_trained(8) == "pixels"
