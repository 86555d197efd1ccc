"""Pictures to rows: decoding and forwards share the machine without fighting for it.

On a CPU both want every core, so they take turns: all cores decode a few batches, then all cores
run them; only reading goes on beside. On an accelerator decoding runs ahead of the forwards.
"""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featbench.augmentation import Augmentation
from featbench.datasets import Picture, Raw, decode, digest
from featbench.errors import BrokenImageError
from featbench.machine import ahead, cores, one_core_each
from featbench.networks import Preprocessing

Pixels = NDArray[np.uint8]
_TOGETHER = 8  # a thread's share at a time: handing over one by one costs as much as decoding


@dataclass(frozen=True)
class Item:
    """One picture, and which views of it are wanted.

    Parameters
    ----------
    content : str
        The sha256 of its content.
    picture : Picture
        Where the content is.
    views : tuple of int
        The views' numbers.
    """

    content: str
    picture: Picture
    views: tuple[int, ...] = (0,)


Key = tuple[str, int]
"""A picture's content and the view's number."""
Block = tuple[list[Key], Pixels]
"""Pictures by key, and their pixels, (n, height, width, channels) uint8."""


class Decoder:
    """Makes pixels of pictures, by threads.

    Parameters
    ----------
    preprocessing : Preprocessing
        What the network wants.
    augmentation : Augmentation
        What a view is.
    """

    def __init__(
        self, preprocessing: Preprocessing, augmentation: Augmentation | None = None
    ) -> None:
        self._preprocessing = preprocessing
        self._augmentation = augmentation or Augmentation()
        self.broken: dict[str, str] = {}
        """Why pictures were passed over, by content."""

    def _read(self, item: Item) -> Raw | OSError:
        try:
            return item.picture.raw()
        except OSError as error:  # the file went away, or cannot be read
            return error

    def _image(self, item: Item, raw: Raw | OSError) -> Image.Image | None:
        """Return the picture; None, with the reason noted, where it cannot be had."""
        if isinstance(raw, OSError):
            self.broken[item.content] = raw.strerror or str(raw)
            return None
        if digest(raw) != item.content:  # its rows would be stored under another content's name
            self.broken[item.content] = "changed after it was first read; run the command again"
            return None
        try:
            return decode(raw)
        except BrokenImageError as error:
            self.broken[item.content] = str(error)
            return None

    def _decode(self, item: Item, raw: Raw | OSError) -> list[tuple[Key, Pixels]]:
        image = self._image(item, raw)
        if image is None:
            return []
        if not self._augmentation:
            return [
                ((item.content, view), self._preprocessing.pixels(image)) for view in item.views
            ]
        few, size = len(item.views), self._preprocessing.shape[1:]
        pictures, contents = [self._preprocessing.resized(image)] * few, [item.content] * few
        views = self._augmentation(pictures, contents, item.views, size)
        return [((item.content, view), one) for view, one in zip(item.views, views, strict=True)]

    def picture(self, item: Item) -> Image.Image | None:
        """Return one picture; None, with the reason in ``broken``, where it cannot be had."""
        return self._image(item, self._read(item))

    def resized(self, items: Sequence[Item]) -> Iterator[tuple[str, Pixels]]:
        """Yield content and pixels (height, width, channels) of pictures before any crop."""

        def work(few: Sequence[Item]) -> list[tuple[str, Pixels]]:
            images = [(item.content, self.picture(item)) for item in few]
            return [(name, self._preprocessing.resized(one)) for name, one in images if one]

        few = [items[i : i + _TOGETHER] for i in range(0, len(items), _TOGETHER)]
        for done in ahead(work, few, 4 * cores(), cores()):
            yield from done

    def in_turns(self, items: Sequence[Item], burst: int) -> Iterator[Block]:
        """Yield bursts of decoded pictures; while one is used only reading goes on.

        The pixels lie in one array that the next burst overwrites: memory does not grow.
        """
        chunks = [items[i : i + burst] for i in range(0, len(items), burst)]
        channels, height, width = self._preprocessing.shape
        most = max((sum(len(item.views) for item in chunk) for chunk in chunks), default=0)
        pixels: Pixels = np.empty((most, height, width, channels), np.uint8)
        with ThreadPoolExecutor(1) as reader, self._pool() as pool:
            reading: Future[list[Raw | OSError]] | None = None
            for number, chunk in enumerate(chunks):
                raws = reading.result() if reading else self._read_all(chunk)
                begins = np.cumsum([0] + [len(item.views) for item in chunk]).tolist()
                tasks = list(zip(chunk, raws, begins, strict=False))
                few = [tasks[i : i + _TOGETHER] for i in range(0, len(tasks), _TOGETHER)]
                filled = [one for part in pool.map(self._fill, few, repeat(pixels)) for one in part]
                if number + 1 < len(chunks):
                    reading = reader.submit(self._read_all, chunks[number + 1])
                keys, places = [key for key, _ in filled], [place for _, place in filled]
                gaps = len(keys) < begins[-1]  # broken pictures leave some
                yield keys, pixels[places] if gaps else pixels[: len(keys)]

    @contextlib.contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        with one_core_each() as begin, ThreadPoolExecutor(cores(), initializer=begin) as pool:
            yield pool

    def _read_all(self, items: Sequence[Item]) -> list[Raw | OSError]:
        return [self._read(item) for item in items]

    def _fill(
        self, tasks: Sequence[tuple[Item, Raw | OSError, int]], pixels: Pixels
    ) -> list[tuple[Key, int]]:
        """Decode pictures to their places; return what is there now, and where."""
        filled = []
        for item, raw, begin in tasks:
            for place, (key, view) in enumerate(self._decode(item, raw), begin):
                pixels[place] = view
                filled.append((key, place))
        return filled

    def ahead(self, items: Sequence[Item], most: int) -> Iterator[Block]:
        """Yield decoded pictures in order while at most ``most`` more are being decoded."""

        def work(few: Sequence[Item]) -> Block:
            done = [one for item in few for one in self._decode(item, self._read(item))]
            channels, height, width = self._preprocessing.shape
            empty: Pixels = np.empty((0, height, width, channels), np.uint8)
            views = np.stack([pixels for _, pixels in done]) if done else empty
            return [key for key, _ in done], views

        few = [items[i : i + _TOGETHER] for i in range(0, len(items), _TOGETHER)]
        with one_core_each() as begin:
            yield from ahead(work, few, max(1, most // _TOGETHER), max(1, cores() - 1), begin)


def batches(blocks: Iterator[Block], size: int) -> Iterator[Block]:
    """Divide decoded pictures into batches.

    Parameters
    ----------
    blocks : iterator of (keys, pixels)
        As a ``Decoder`` yields them.
    size : int
        Pictures a batch.

    Yields
    ------
    list of (str, int), ndarray of uint8, shape (n, height, width, channels)
        What they are, and their pixels, good until the next is asked for; n is ``size`` but for
        the last batch.
    """
    left: Block | None = None
    for keys, pixels in blocks:
        if left is not None:
            keys, pixels = left[0] + keys, np.concatenate([left[1], pixels])
        whole = len(keys) - len(keys) % size
        for start in range(0, whole, size):
            yield keys[start : start + size], pixels[start : start + size]
        left = (keys[whole:], pixels[whole:].copy()) if whole < len(keys) else None
    if left is not None:
        yield left
