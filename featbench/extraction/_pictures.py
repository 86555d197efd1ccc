"""Pictures to pixels, ahead of the network: a bounded pool of decoding threads."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import Picture, decode
from featbench.errors import BrokenImageError
from featbench.machine import cores
from featbench.networks import Preprocessing

Pixels = NDArray[np.uint8]


def decoded(
    pictures: Sequence[Picture], preprocessing: Preprocessing, *, ahead: int = 128
) -> Iterator[tuple[int, Pixels | BrokenImageError]]:
    """Yield every picture's number and its pixels, in order, decoded by threads.

    Parameters
    ----------
    pictures : sequence of Picture
        What to decode.
    preprocessing : Preprocessing
        What makes (height, width, channels) uint8 of each.
    ahead : int
        At most so many pictures are decoded before they are asked for: memory is bounded.

    Yields
    ------
    int, ndarray or BrokenImageError
        The reason in place of the pixels where a picture cannot be decoded.
    """

    def work(picture: Picture) -> Pixels | BrokenImageError:
        try:
            return preprocessing.pixels(decode(picture.raw()))
        except BrokenImageError as broken:
            return broken
        except OSError as error:  # the file went away, or cannot be read
            return BrokenImageError(error.strerror or str(error))

    with ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="decode") as pool:
        waiting: deque[tuple[int, Future[Pixels | BrokenImageError]]] = deque()
        try:
            for i, picture in enumerate(pictures):
                waiting.append((i, pool.submit(work, picture)))
                if len(waiting) > ahead:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def batches(
    pictures: Iterable[tuple[int, Pixels | BrokenImageError]],
    size: int,
    broken: dict[int, str],
) -> Iterator[tuple[list[int], Pixels]]:
    """Gather decoded pictures into batches.

    Parameters
    ----------
    pictures : iterable of (int, ndarray or BrokenImageError)
        As ``decoded`` yields them.
    size : int
        Pictures a batch.
    broken : dict of int to str
        Takes the number and the reason of every broken picture; those are passed over.

    Yields
    ------
    list of int, ndarray of uint8, shape (n, height, width, channels)
        The pictures' numbers and their pixels; n is ``size`` but for the last batch.
    """
    numbers: list[int] = []
    held: list[Pixels] = []
    for number, pixels in pictures:
        if isinstance(pixels, BrokenImageError):
            broken[number] = str(pixels)
            continue
        numbers.append(number)
        held.append(pixels)
        if len(numbers) == size:
            yield numbers, np.stack(held)
            numbers, held = [], []
    if numbers:
        yield numbers, np.stack(held)
