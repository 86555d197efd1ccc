"""Pictures that memory has no room for when they are decoded: each batch decodes its own."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from featbench.datasets import Split
from featbench.errors import FeatbenchError
from featbench.extraction import Decoder, Item
from featbench.finetune._inputs import gone
from featbench.machine import ahead, cores, one_core_each
from featbench.networks import Preprocessing

_AHEAD = 2
"""Batches that wait decoded, beside the one that is used and those that are being decoded."""


class Undecoded:
    """The images of a split, all of which can be decoded; only a few batches are at a time.

    Parameters
    ----------
    split : Split
        The images.
    preprocessing : Preprocessing
        The network's.
    """

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        self._split, self.preprocessing = split, preprocessing
        self.contents = split.digests

    def __len__(self) -> int:
        return len(self._split)

    def __add__(self, other: Self) -> "Undecoded":
        return Undecoded(self._split + other._split, self.preprocessing)

    def resized(self, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return these rows' pixels (height, width, channels) before the crop.

        Raises
        ------
        FeatbenchError
            When an image went away, or changed, since it was first decoded.
        """
        return self._each(rows, self.preprocessing.resized)

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield pixels (n, height, width, channels) uint8 in order, ``size`` rows at a time."""
        return self.batches(torch.arange(len(self)).split(size), 1)

    def batches(self, steps: Sequence[torch.Tensor], epoch: int) -> Iterator[torch.Tensor]:
        """Yield each step's pixels (n, height, width, channels) uint8; every epoch's are alike."""

        def make(chosen: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(np.stack(self._each(chosen.tolist(), self._pixels)))

        with one_core_each() as begin:
            yield from ahead(make, steps, _AHEAD, threads_decoding(), begin)

    def _pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        return self.preprocessing.pixels(image)

    def _each(
        self, rows: Sequence[int], work: Callable[[Image.Image], NDArray[np.uint8]]
    ) -> list[NDArray[np.uint8]]:
        decoder, done = Decoder(self.preprocessing), []
        for row in rows:
            item = Item(self.contents[row], self._split.pictures[row])
            image = decoder.picture(item)
            if image is None:
                reason = decoder.broken[item.content]
                raise FeatbenchError(f"{self._split.ids[row]}: {gone(reason)}")
            done.append(work(image))
        return done


def threads_decoding() -> int:
    """Return how many threads decode beside training: on a CPU both want all cores."""
    return max(1, cores() // 2)
