"""Another normalisation than the weights' own, for training that chooses its own."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import Split
from featbench.errors import UsageError
from featbench.extraction import Decoder, Item, batches
from featbench.networks import Preprocessing

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # torchvision's
_LEAST = 1 / 255  # one step of a pixel: pictures of one colour have no deviation to divide by


def normalised_as(name: str, preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing with a named normalisation: ``half`` or ``imagenet``.

    Raises
    ------
    UsageError
        Where a grey network is asked for ImageNet's three channels.
    """
    channels = preprocessing.shape[0]
    if name == "half":
        return preprocessing.with_statistics((0.5,) * channels, (0.5,) * channels)
    if channels != 3:
        raise UsageError("normalise=imagenet: is of three channels, and this network takes grey "
                         "pictures; use data or half")  # fmt: skip
    return preprocessing.with_statistics(*_IMAGENET)


def normalised_by(
    pixels: Iterable[NDArray[np.uint8]], preprocessing: Preprocessing
) -> Preprocessing:
    """Return the preprocessing with mean and deviation of each channel of these pictures.

    Parameters
    ----------
    pixels : iterable of ndarray of uint8, shape (n, height, width, channels)
        The training images as the network sees them, without augmentation.
    preprocessing : Preprocessing
        The network's.
    """
    counts = np.zeros((preprocessing.shape[0], 256), np.int64)
    for few in pixels:  # whole numbers: the same sums in any order
        for channel, row in enumerate(counts):
            row += np.bincount(few[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)  # of none at all, none
    mean = shares @ levels
    deviation = np.sqrt(np.maximum(shares @ levels**2 - mean**2, 0))
    return preprocessing.with_statistics(mean.tolist(), np.maximum(deviation, _LEAST).tolist())


def decoded(split: Split, preprocessing: Preprocessing) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of a split's images, without those that cannot be decoded."""
    items = [Item(d, p) for d, p in zip(split.digests, split.pictures, strict=True)]
    for _, pixels in batches(Decoder(preprocessing).in_turns(items, 256), 256):
        yield pixels
