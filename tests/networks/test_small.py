"""Our own small networks: the published parameter counts, their inputs, blocks and options."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import featbench.networks as networks
from featbench.errors import UsageError
from featbench.experiments import Run
from featbench.extraction._spec import spec_of
from featbench.networks import check_network, create_network, small_networks
from tests.networks.test_cut import alive, pixels

VARIANTS = [
    "logistic", "logistic:channels=1:size=8", "fcnet", "fcnet:hidden=20", "cnn",
    "cnn:size=10", "lenet5", "lenet5:batch_norm=true:dropout=0.2", "cnn3:size=64",
    "cnn3:second_dropout=0.3:size=16", "mlp-sigmoid", "fcnet:batch_norm=false:dropout=0.0",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "count"),
    [
        ("logistic", (3, 64, 64), 122_890),
        ("fcnet", (3, 64, 64), 2_484_160),
        ("cnn", (3, 64, 64), 1_272_372),
        ("lenet5", (1, 32, 32), 61_706),
        ("lenet5:batch_norm=true", (1, 32, 32), 61_706 + 2 * 6 + 2 * 16),
        ("lenet5:dropout=0.2", (1, 32, 32), 61_706),
        ("mlp-sigmoid", (1, 28, 28), 109_386),
    ],
)
def test_parameters_for_ten_classes_are_the_published_ones(
    name: str, shape: tuple[int, ...], count: int
) -> None:
    for network in (create_network(name), create_network(name, classes=10)):
        assert network.parameters("all") == (count, count)
        assert network.preprocessing.shape == shape


def test_cnn3_has_one_output_and_16870721_parameters_and_takes_other_numbers_of_classes() -> None:
    for network in (create_network("cnn3"), create_network("cnn3", classes=1)):
        assert network.preprocessing.shape == (3, 256, 256)
        assert network.parameters("all") == (16_870_721, 16_870_721)
    two = create_network("cnn3", classes=2, second_dropout=0.5)
    assert two.parameters("all")[0] == 16_870_721 + 129


@pytest.mark.parametrize("name", VARIANTS)
def test_a_small_network_cuts_everywhere_and_the_halves_are_the_whole(name: str) -> None:
    network = alive(name)
    x = pixels(network)
    with torch.no_grad():
        whole = network.module(x)
        assert whole.shape == (2, 7)
        assert whole.std() > 0
        for at in ("pixels", *network.layers):
            cut = network.cut(at)
            value = cut.prefix(x)
            assert torch.equal(cut.suffix(value), whole), at
            assert at == "pixels" or network.shape_at(at) == value.shape[1:]


def test_blocks_are_the_layers_with_weights_and_their_norms() -> None:
    def blocks(name: str) -> list[str]:
        return [block.name for block in create_network(name).blocks]

    assert blocks("logistic") == []
    assert blocks("fcnet") == blocks("fcnet:batch_norm=false") == ["fc1", "fc2", "fc3"]
    assert blocks("mlp-sigmoid") == ["fc1", "fc2"]
    assert blocks("cnn") == ["conv1", "conv2", "fc1", "fc2"]
    assert blocks("lenet5") == blocks("lenet5:batch_norm=true") == blocks("cnn")
    assert blocks("cnn3") == ["conv1", "conv2", "conv3", "fc1"]
    assert create_network("fcnet").block_parameters()["fc3"] == 100 * 50 + 50 + 2 * 50


def test_options_put_in_the_layers_they_name() -> None:
    def kinds(name: str) -> list[type[nn.Module]]:
        return [type(layer) for layer in create_network(name).module.children()]

    assert nn.BatchNorm2d not in kinds("lenet5")
    assert nn.Dropout not in kinds("lenet5")
    normed = kinds("lenet5:batch_norm=true")
    assert [normed[i - 1] for i, k in enumerate(normed) if k is nn.BatchNorm2d] == [nn.Conv2d] * 2
    dropped = create_network("lenet5", dropout=0.2).module
    assert [m.p for m in dropped.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.2]
    twice = create_network("cnn3", second_dropout=0.3).module
    assert [m.p for m in twice.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.3]
    hidden = create_network("fcnet", hidden=(20, 10), size=32, channels=1, classes=4).module
    sizes = [m.out_features for m in hidden.modules() if isinstance(m, nn.Linear)]
    assert sizes == [20, 10, 4]


def test_lenet5_sees_28_pixels_padded_with_black_to_32() -> None:
    steps = create_network("lenet5").preprocessing
    digit = np.random.default_rng(0).integers(1, 256, (28, 28), dtype=np.uint8)
    seen = steps.pixels(Image.fromarray(digit))[:, :, 0]
    assert np.array_equal(seen, np.pad(digit, 2))


def test_fcnet_and_cnn_see_the_centre_64_of_72() -> None:
    image = np.random.default_rng(0).integers(0, 256, (72, 72, 3), dtype=np.uint8)
    for name in ("logistic", "fcnet", "cnn"):
        seen = create_network(name).preprocessing.pixels(Image.fromarray(image))
        assert np.array_equal(seen, image[4:68, 4:68])


def test_a_name_has_one_spelling_and_gives_the_same_network_again() -> None:
    by_keyword = create_network("fcnet", size=32, hidden=[20, 10], dropout=0.2)
    assert by_keyword.name == "fcnet:hidden=20,10:size=32"  # 0.2 is the default
    again = create_network(by_keyword.name)
    assert again.name == by_keyword.name == check_network("fcnet:size=32:dropout=.2:hidden=20,10")
    assert again.sha256 == by_keyword.sha256
    assert create_network("fcnet:size=32", size=64).name == "fcnet"
    assert check_network("resnet18") == "resnet18"


def test_two_different_networks_share_no_feature_space_and_no_run() -> None:
    plain, dropped = create_network("lenet5"), create_network("lenet5", dropout=0.2)
    assert plain.sha256 == dropped.sha256  # the same weights: the name tells them apart
    assert spec_of(plain).key != spec_of(dropped).key
    first = Run("digits", "lenet5:dropout=0.20:batch_norm=true", blocks="all")
    assert first == Run("digits", "lenet5:batch_norm=True:dropout=.2", blocks="all")
    assert first.network == "lenet5:batch_norm=true:dropout=0.2"
    with pytest.raises(UsageError, match="did you mean 'dropout'"):
        Run("digits", "lenet5:dropuot=0.2", blocks="all")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet5", {"dropuot": 0.2}, "did you mean 'dropout'"),
        ("lenet5:dropout", {}, "'dropout' is not option=value"),
        ("lenet5:dropout=1", {}, "dropout=1: expected a share"),
        ("lenet5:dropout=nan", {}, "expected a share"),
        ("lenet5", {"batch_norm": 1}, "expected true or false"),
        ("fcnet:hidden=20,,10", {}, "expected a whole number"),
        ("fcnet:hidden=0", {}, "expected a whole number from 1"),
        ("fcnet", {"hidden": ()}, "expected 1 to 16 sizes"),
        ("fcnet", {"hidden": 20}, "hidden=20"),
        ("fcnet:size=99999999999999999999", {}, "expected a whole number"),
        ("fcnet:hidden=65536,65536", {}, "would have 5,101,322,250 parameters"),
        ("fcnet:size=4", {}, "size=4: expected 8 to 1024"),
        ("cnn:size=9", {}, "size=9: expected 10 to 1024"),
        ("cnn3:channels=2", {}, "channels=2: expected 3"),
        ("lenet:size=3", {}, "did you mean 'lenet5'"),
    ],
)
def test_a_wrong_option_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        create_network(name, **options)


def test_each_is_a_file_of_under_sixty_lines() -> None:
    folder = Path(inspect.getfile(networks)).parent
    for name in small_networks():
        lines = (folder / f"{name.replace('-', '_')}.py").read_text().splitlines()
        assert len(lines) < 60, name
