"""The pixels a network gets are those its weights were trained on."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import get_model_weights

from featbench.errors import UsageError
from featbench.networks import Preprocessing, create_network


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(300, 400), (401, 299), (64, 64), (231, 900)])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "convnext_tiny", "swin_t"])
def test_torchvisions_own_preset_gives_the_same(name: str, size: tuple[int, int]) -> None:
    image = picture(*size)
    expected = get_model_weights(name)["DEFAULT"].transforms()(image)
    ours = create_network(name, "random").preprocessing
    got = ours.normalise(torch.from_numpy(np.stack([ours.pixels(image)])))[0]
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-6)


def test_timms_own_transform_gives_the_same() -> None:
    from timm.data import create_transform, resolve_model_data_config

    network = create_network("efficientnet_lite0", "random")
    transform = create_transform(**resolve_model_data_config(network.module))
    image = picture(348, 464)
    ours = network.preprocessing
    got = ours.normalise(torch.from_numpy(np.stack([ours.pixels(image)])))[0]
    torch.testing.assert_close(got, transform(image), rtol=0, atol=2e-6)


def test_pixels_arrive_in_channels_last_memory() -> None:
    ours = Preprocessing(32, (32, 32), "bilinear", (0.5,) * 3, (0.5,) * 3)
    batch = ours.normalise(torch.from_numpy(np.stack([ours.pixels(picture(40, 50))] * 2)))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.dtype == torch.float32


def test_a_single_channel_is_grey() -> None:
    ours = Preprocessing((32, 32), None, "bilinear", (0.5,), (0.5,))
    assert ours.pixels(picture(8, 8)).shape == (32, 32, 1)
    assert ours.shape == (1, 32, 32)


@pytest.mark.parametrize("change", [{"interpolation": "cubic"}, {"mean": (0.5, 0.5)}])
def test_impossible_steps_are_refused(change: dict[str, object]) -> None:
    steps = {"resize": 32, "crop": None, "interpolation": "bilinear", "mean": (0.5,), "std": (1.0,)}
    with pytest.raises(UsageError):
        Preprocessing(**{**steps, **change})  # type: ignore[arg-type]
