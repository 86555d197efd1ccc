"""Prefix then suffix is the whole network, for every family, with the network's own tensors."""

import pytest
import torch
from torch import nn

from featbench.errors import UsageError
from featbench.networks import Built, Network, Preprocessing, create_network, weight_count

FAMILIES = [
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_y_400mf", "resnet18",
    "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11_bn", "vit_b_32",
    "efficientnet_lite0", "lenet5", "timm/vit_tiny_patch16_224", "timm/mobilenetv3_small_050",
    "timm/resnetv2_50", "timm/mixer_s32_224", "timm/convnext_atto", "timm/levit_128s",
    "timm/vit_small_patch14_dinov2",
]  # fmt: skip
SMALL = [
    "mobilenet_v3_small", "resnet18", "squeezenet1_1", "timm/convnext_atto", "fcnet", "cnn",
    "cnn3:size=32", "mlp-sigmoid", "lenet5", "lenet5:batch_norm=true:dropout=0.2",
]  # fmt: skip


def alive(name: str, classes: int = 7) -> Network:
    """Return a network in which nothing is zero or unit by initialisation: equality means more."""
    network = create_network(name, "random", classes)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for name, tensor in network.module.state_dict().items():
            if tensor.is_floating_point():
                noise = 0.02 * torch.randn_like(tensor)
                tensor.add_(noise.abs() if name.endswith("running_var") else noise)
    return network


def pixels(network: Network, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, *network.preprocessing.shape, generator=generator)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_prefix_then_suffix_is_the_whole_forward_exactly(name: str) -> None:
    network = alive(name)
    x = pixels(network)
    starts = [block.starts_at for block in network.blocks]
    assert starts[0] == "pixels"
    with torch.no_grad():
        whole = network.module(x)
        assert whole.std() > 0
        for at in [*dict.fromkeys([starts[0], *starts[len(starts) // 2 :]]), "features"]:
            cut = network.cut(at)
            assert torch.equal(cut.suffix(cut.prefix(x)), whole), at


@pytest.mark.parametrize("name", SMALL)
def test_the_halves_share_no_parameter_and_copy_none(name: str) -> None:
    network = alive(name)
    own = {id(p) for p in network.module.parameters()}
    for block in network.blocks[1:]:
        cut = network.cut(block.starts_at)
        below = {id(p) for p in cut.prefix.parameters()}
        above = {id(p) for p in cut.suffix.parameters()}
        assert not below & above
        assert below | above == own
        assert not any(p.requires_grad for p in cut.prefix.parameters())
        assert all(p.requires_grad for p in cut.suffix.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_one_step_changes_the_suffix_alone_and_no_frozen_statistic(name: str) -> None:
    network = alive(name)
    cut = network.cut(network.blocks[-1].starts_at)
    before = {k: v.clone() for k, v in cut.prefix.state_dict().items()}
    network.module.train()  # modules are shared: this must not reach the prefix's batch norm
    cut.prefix.train()
    cut.suffix.train()
    optimizer = torch.optim.SGD(cut.suffix.parameters(), lr=0.1)
    cut.suffix(cut.prefix(pixels(network, 4))).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(before[k], v) for k, v in cut.prefix.state_dict().items())


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "timm/mobilenetv3_small_050", "alexnet"])
def test_a_suffix_leaves_cached_activations_as_they_are(name: str) -> None:
    network = alive(name)
    for at in network.layers:
        cut = network.cut(at)
        with torch.no_grad():
            value = cut.prefix(pixels(network))
            kept = value.clone()
            cut.suffix(value)
        assert torch.equal(value, kept), at


def test_dropout_trains_above_the_cut() -> None:
    network = alive("alexnet")
    cut = network.cut("features")
    cut.suffix.train()
    value = cut.prefix(pixels(network))
    torch.manual_seed(0)
    first = cut.suffix(value)
    assert not any(isinstance(m, nn.Dropout) and m.training for m in cut.prefix.modules())
    assert torch.isfinite(first).all()
    middle = network.cut("flatten")
    middle.suffix.train()
    assert not torch.equal(middle.suffix(middle.prefix(pixels(network))), first)


def test_cutting_again_elsewhere_frees_what_was_frozen() -> None:
    network = alive("resnet18")
    network.cut("layer3")
    whole = network.cut("pixels")
    assert all(p.requires_grad for p in whole.suffix.parameters())


class Wavering(nn.Module):
    """A forward that cannot be traced: what it does hangs on the values."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 5, 3)
        self.fc = nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x).mean((2, 3))
        if x.sum() > 0:
            x = x + 1
        return self.fc(x)  # type: ignore[no-any-return]


def test_a_network_that_cannot_be_traced_still_gives_features_and_says_so() -> None:
    steps = Preprocessing((8, 8), None, "bilinear", (0.5,) * 3, (0.5,) * 3)
    network = Network("wavering", Built(Wavering(), "random", steps))
    assert network.layers == ("features",)
    x = pixels(network)
    cut = network.cut("features")
    with torch.no_grad():
        assert torch.equal(cut.suffix(cut.prefix(x)), network.module(x))
    assert network.parameters(0) == (weight_count(network.module), 24)
    with pytest.raises(UsageError, match="cannot be traced"):
        network.cut("body")


def test_a_wrong_place_or_block_names_the_nearest() -> None:
    network = create_network("resnet18", "random")
    with pytest.raises(UsageError, match="did you mean 'layer3'"):
        network.cut("layer_3")
    with pytest.raises(UsageError, match="did you mean 'layer4'"):
        network.place_of("layr4")
    with pytest.raises(UsageError, match="has 5 blocks"):
        network.place_of(6)
