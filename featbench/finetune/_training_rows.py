"""What a training epoch sees where it is not the images as they are: new views, kept views, copies.

A row is a training image or a copy of it: the images first, then each copy of all of them. Copies
are made of the training split alone, after it was divided, so none can reach another split.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.augmentation import NO_AUGMENTATION, Augmentation
from featbench.machine import ahead, cores, one_core_each
from featbench.networks import Preprocessing

_AHEAD = 4  # batches that wait


class TrainingRows(Protocol):
    """Rows whose values may be others in each epoch."""

    def __len__(self) -> int:
        """Return how many rows an epoch has."""

    def batches(self, steps: Sequence[torch.Tensor], epoch: int) -> Iterator[torch.Tensor]:
        """Yield the values of each step's rows in an epoch, counted from 1."""

    def __add__(self, other: Any) -> Self:
        """Return the rows of both's images, of the same kind."""


def given_to(
    inputs: torch.Tensor | TrainingRows, steps: Sequence[torch.Tensor], epoch: int
) -> Iterator[torch.Tensor]:
    """Yield what each step of an epoch is given."""
    if isinstance(inputs, torch.Tensor):
        return (inputs[chosen] for chosen in steps)
    return inputs.batches(steps, epoch)


@dataclass(frozen=True)
class Wanted:
    """What training rows are to be.

    Parameters
    ----------
    recipes : tuple of str
        What is done to a training image, and to each copy of it.
    views : int
        How many views of each are kept where something is frozen.
    seed : int
        Of the views.
    threads : int
        How many may make views.
    """

    recipes: tuple[str, ...]
    views: int
    seed: int
    threads: int = 1

    @property
    def anything(self) -> bool:
        """Whether any row is other than the image itself."""
        return self.recipes != (NO_AUGMENTATION,)

    @property
    def kept(self) -> int:
        """How many rows are kept of an image beside its own, where something is frozen."""
        plain = self.recipes[0] == NO_AUGMENTATION
        return len(self.recipes) - 1 if plain else self.views * len(self.recipes)


class ManyPictures(Protocol):
    """Pictures that views can be cut from."""

    contents: tuple[str, ...]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        """Return how many there are."""

    def resized(self, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return these rows' pixels before the crop."""

    def __add__(self, other: Any) -> Self:
        """Return both's pictures, these first."""


class Pictures:
    """Resized pictures in memory, each of a size of its own, that can be cropped in many ways.

    Parameters
    ----------
    pixels : list of ndarray of uint8, shape (height, width, channels)
        As ``Preprocessing.resized`` makes them.
    contents : tuple of str
        The sha256 of each image's content.
    preprocessing : Preprocessing
        The network's.
    """

    def __init__(
        self,
        pixels: list[NDArray[np.uint8]],
        contents: tuple[str, ...],
        preprocessing: Preprocessing,
    ) -> None:
        self.pixels, self.contents, self.preprocessing = pixels, contents, preprocessing

    def __len__(self) -> int:
        return len(self.pixels)

    def resized(self, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Return these rows' pixels before the crop."""
        return [self.pixels[row] for row in rows]

    def __add__(self, other: Self) -> "Pictures":
        pixels, contents = self.pixels + other.pixels, self.contents + other.contents
        return Pictures(pixels, contents, self.preprocessing)

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield the pictures as they are without augmentation, ``size`` at a time."""
        for start in range(0, len(self), size):
            few = self.pixels[start : start + size]
            yield torch.from_numpy(np.stack([self.preprocessing.cropped(one) for one in few]))


class FreshViews:
    """A new view of each row in every epoch, made while the training goes on.

    Parameters
    ----------
    pictures : Pictures or Undecoded
        The training images.
    recipes : sequence of str
        What is done to an image, and to each copy.
    seed : int
        With the image's content and the epoch it decides a view.
    threads : int
        How many make views.
    """

    def __init__(
        self, pictures: "ManyPictures", recipes: Sequence[str], seed: int, threads: int = 1
    ) -> None:
        self._pictures, self._threads = pictures, threads
        self._ways = [Augmentation(recipe, seed) for recipe in recipes]

    def __len__(self) -> int:
        return len(self._ways) * len(self._pictures)

    def __add__(self, other: Self) -> Self:
        both = copy(self)
        both._pictures = self._pictures + other._pictures
        return both

    def batches(self, steps: Sequence[torch.Tensor], epoch: int) -> Iterator[torch.Tensor]:
        """Yield pixels (n, height, width, channels) uint8; epoch e sees view e - 1."""

        def make(chosen: torch.Tensor) -> torch.Tensor:
            return self._views(chosen.numpy(), epoch - 1)

        with one_core_each() as begin:
            yield from ahead(make, steps, _AHEAD, self._threads, begin)

    def _views(self, rows: NDArray[np.int64], view: int) -> torch.Tensor:
        channels, height, width = self._pictures.preprocessing.shape
        views = np.empty((len(rows), height, width, channels), np.uint8)
        ways, images = np.divmod(rows, len(self._pictures))
        for number in np.unique(ways).tolist():
            places = np.flatnonzero(ways == number)
            chosen = images[places].tolist()
            views[places] = self._ways[number](
                self._pictures.resized(chosen),
                [self._pictures.contents[i] for i in chosen],
                [view] * len(chosen),
                (height, width),
            )
        return torch.from_numpy(views)


def threads_beside(device: torch.device) -> int:
    """Return how many threads may make views while this device trains."""
    return 1 if device.type == "cpu" else max(1, min(8, cores() - 1))


class KeptViews:
    """Values at the cut, kept of one or more views of each row.

    Parameters
    ----------
    ways : sequence of Tensor, shape (images, views, ...)
        Of the images, then of each copy.
    """

    def __init__(self, ways: Sequence[torch.Tensor]) -> None:
        self._ways = ways
        same = len({way.dtype for way in ways}) == 1
        self._dtype = ways[0].dtype if same else torch.float32

    def __len__(self) -> int:
        return sum(map(len, self._ways))

    @property
    def ways(self) -> tuple[torch.Tensor, ...]:
        """The values, of the images and of each copy."""
        return tuple(self._ways)

    def __add__(self, other: Self) -> "KeptViews":
        return KeptViews([torch.cat(both) for both in zip(self._ways, other._ways, strict=True)])

    def batches(self, steps: Sequence[torch.Tensor], epoch: int) -> Iterator[torch.Tensor]:
        """Yield values (n, ...); epoch e sees view (e - 1) mod views."""
        each = len(self._ways[0])
        kept = [way[:, (epoch - 1) % way.shape[1]] for way in self._ways]
        for chosen in steps:
            rows = torch.empty((len(chosen), *kept[0].shape[1:]), dtype=self._dtype)
            for number, way in enumerate(kept):
                places = (chosen // each == number).nonzero()[:, 0]
                rows[places] = way[chosen[places] % each].to(self._dtype)
            yield rows
