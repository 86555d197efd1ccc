"""Pictures to rows: decoding and forwards share the machine without fighting for it.

On a CPU both want every core, so they take turns: all cores decode a few batches, then all cores
run them; only reading goes on beside. On an accelerator decoding runs ahead of the forwards.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import Picture, Raw, decode, digest
from featbench.errors import BrokenImageError
from featbench.extraction._views import Augmentation
from featbench.machine import ahead, cores
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
Decoded = tuple[Key, Pixels]


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

    def _decode(self, item: Item, raw: Raw | OSError) -> list[Decoded]:
        if isinstance(raw, OSError):
            self.broken[item.content] = raw.strerror or str(raw)
            return []
        if digest(raw) != item.content:  # its rows would be stored under another content's name
            self.broken[item.content] = "changed after it was first read; run the command again"
            return []
        try:
            image = decode(raw)
        except BrokenImageError as error:
            self.broken[item.content] = str(error)
            return []
        return [
            (
                (item.content, view),
                self._preprocessing.pixels(self._augmentation(image, item.content, view)),
            )
            for view in item.views
        ]

    def in_turns(self, items: Sequence[Item], burst: int) -> Iterator[list[Decoded]]:
        """Yield bursts of decoded pictures; while one is used only reading goes on."""
        chunks = [items[i : i + burst] for i in range(0, len(items), burst)]
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(cores()) as pool:
            ahead: Future[list[Raw | OSError]] | None = None
            for number, chunk in enumerate(chunks):
                ahead = ahead or reader.submit(self._read_all, chunk)
                raws = ahead.result()
                ahead = None
                few = [slice(i, i + _TOGETHER) for i in range(0, len(chunk), _TOGETHER)]
                decoded = pool.map(
                    lambda part, c=chunk, r=raws: self._several(c[part], r[part]), few
                )
                ready = [one for several in decoded for one in several]
                if number + 1 < len(chunks):
                    ahead = reader.submit(self._read_all, chunks[number + 1])
                yield ready

    def _several(self, items: Sequence[Item], raws: Sequence[Raw | OSError]) -> list[Decoded]:
        return [
            one for item, raw in zip(items, raws, strict=True) for one in self._decode(item, raw)
        ]

    def _read_all(self, items: Sequence[Item]) -> list[Raw | OSError]:
        return [self._read(item) for item in items]

    def ahead(self, items: Sequence[Item], most: int) -> Iterator[list[Decoded]]:
        """Yield decoded pictures in order while at most ``most`` more are being decoded."""

        def work(item: Item) -> list[Decoded]:
            return self._decode(item, self._read(item))

        yield from ahead(work, items, most, max(1, cores() - 1))


def batches(decoded: Iterator[list[Decoded]], size: int) -> Iterator[tuple[list[Key], Pixels]]:
    """Gather decoded pictures into batches.

    Parameters
    ----------
    decoded : iterator of lists of (key, pixels)
        As a ``Decoder`` yields them.
    size : int
        Pictures a batch.

    Yields
    ------
    list of (str, int), ndarray of uint8, shape (n, height, width, channels)
        What they are, and their pixels; n is ``size`` but for the last batch.
    """
    held: list[Decoded] = []
    for part in decoded:
        held += part
        while len(held) >= size:
            now, held = held[:size], held[size:]
            yield [key for key, _ in now], np.stack([pixels for _, pixels in now])
    if held:
        yield [key for key, _ in held], np.stack([pixels for _, pixels in held])
