"""The layer table: its sums are the network's, and its multiply-adds the published ones."""

import pytest
import torch
from torch import nn
from torchvision import models

from featbench.errors import UsageError
from featbench.networks import (
    Built,
    Network,
    Preprocessing,
    create_network,
    layers_of,
    weight_count,
)


@pytest.mark.parametrize(
    "name",
    ["resnet50", "resnet18", "mobilenet_v2", "inception_v3", "vit_b_16", "swin_t", "densenet121"],
)
def test_multiply_adds_are_those_torchvision_publishes(name: str) -> None:
    network = create_network(name, "random")
    layers = layers_of(network)
    published = models.get_model_weights(name)["DEFAULT"].meta["_ops"]  # 10⁹, three decimals
    assert sum(x.multiply_adds for x in layers) / 1e9 == pytest.approx(published, abs=5.1e-4)
    assert sum(x.parameters for x in layers) == weight_count(network.module)


@pytest.mark.parametrize(
    ("name", "published"), [("resnet50", 4.09), ("resnet18", 1.81), ("mobilenet_v2", 0.30)]
)
def test_multiply_adds_are_those_of_the_papers(name: str, published: float) -> None:
    layers = layers_of(create_network(name, "random"), 224)
    assert sum(x.multiply_adds for x in layers) / 1e9 == pytest.approx(published, abs=5e-3)


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "timm/levit_128s", "timm/resnet18d"])
def test_a_timm_network_has_its_parameters_in_its_layers(name: str) -> None:
    network = create_network(name, "random", classes=3)
    layers = layers_of(network)
    assert sum(x.parameters for x in layers) == weight_count(network.module)
    assert layers[-1].output == (3,)
    assert sum(x.multiply_adds for x in layers) > 10**8


def test_every_row_of_lenet5() -> None:
    rows = [(x.name, x.output, x.parameters, x.multiply_adds)
            for x in layers_of(create_network("lenet5"))]  # fmt: skip
    assert rows == [
        ("conv1", (6, 28, 28), 156, 28 * 28 * 25 * 6),
        ("relu1", (6, 28, 28), 0, 0),
        ("pool1", (6, 14, 14), 0, 0),
        ("conv2", (16, 10, 10), 2_416, 10 * 10 * 25 * 6 * 16),
        ("relu2", (16, 10, 10), 0, 0),
        ("pool2", (16, 5, 5), 0, 0),
        ("flatten", (400,), 0, 0),
        ("fc1", (120,), 48_120, 48_000),
        ("relu3", (120,), 0, 0),
        ("fc2", (84,), 10_164, 10_080),
        ("relu4", (84,), 0, 0),
        ("fc3", (10,), 850, 840),
    ]


class Odd(nn.Module):
    """Calls one layer twice, never calls another, and multiplies a matrix of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.never = nn.Linear(5, 5)
        self.own = nn.Parameter(torch.ones(3, 4))
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.twice(self.twice(x))
        if x.shape[0] > 7:  # control flow
            x = x * 2
        return self.fc(x.mean((2, 3)) @ self.own)  # type: ignore[no-any-return]


def test_calls_are_counted_each_and_what_lies_outside_any_layer_is_the_networks() -> None:
    steps = Preprocessing((8, 8), None, "bilinear", (0.5,) * 3, (0.5,) * 3)
    network = Network("odd", Built(Odd(), "random", steps))
    rows = [(x.name, x.call, x.parameters, x.multiply_adds) for x in layers_of(network, (8, 16))]
    assert rows == [
        ("twice", 1, 30, 8 * 16 * 9 * 3),
        ("twice", 2, 0, 8 * 16 * 9 * 3),
        ("fc", 1, 10, 8),
        ("(network)", 1, 12 + 30, 12),
    ]


def test_looking_leaves_the_network_as_it_was() -> None:
    network = create_network("mobilenet_v3_small", "random")
    before = network.sha256
    layers_of(network, 64)
    del network.sha256
    assert network.sha256 == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.module.modules())
    assert torch.isfinite(network.module(torch.zeros(1, 3, 64, 64))).all()
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_size_that_a_network_cannot_take_says_what_it_is_made_for(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UsageError, match=r"lenet5 cannot take 28×28 .* it is made for 32×32"):
        layers_of(create_network("lenet5"), 28)
    assert capfd.readouterr().err == ""
