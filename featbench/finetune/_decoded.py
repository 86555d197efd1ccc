"""Decoded pictures that are kept for the next training: decoding a big set anew takes seconds."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from featbench.machine import free_memory
from featbench.networks import Preprocessing

_MOST = 4  # train, val, test, and one more: what the next training is likely to ask for


@dataclass(frozen=True)
class Decoded:
    """The pictures of one split.

    Parameters
    ----------
    pixels : Tensor, list of ndarray, or None
        All that could be decoded; None where they were looked at and not kept.
    count : int
        How many those are.
    broken : dict of str to str
        Why the others could not, by content.
    seconds : float
        What decoding took.
    nbytes : int
        The pixels' size.
    """

    pixels: Any
    count: int
    broken: dict[str, str]
    seconds: float
    nbytes: int


class DecodedSplits:
    """The splits decoded last, as far as half of the memory that is free holds them.

    What is kept is for reading only: each training takes batches out of it.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Decoded] = {}

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let trainings inside take what is here, and leave here what they decode."""
        _in_use.append(self)
        try:
            yield
        finally:
            _in_use.pop()

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def get(self, name: str, make: Callable[[], Decoded]) -> Decoded:
        """Return what is kept under a name, or make it and keep it while memory allows."""
        found = self._kept.pop(name, None) or make()
        self._kept[name] = found  # the last one now
        while len(self._kept) > _MOST or self.size > (free_memory() + self.size) // 2:
            del self._kept[next(iter(self._kept))]
        return found

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return sum(one.nbytes for one in self._kept.values())


_in_use: list[DecodedSplits] = []


def bytes_kept() -> int:
    """Return how many bytes somebody keeps, and would give up for others."""
    return _in_use[-1].size if _in_use else 0


def decoded_once(
    what: str,
    digests: Sequence[str],
    preprocessing: Preprocessing,
    make: Callable[[], Decoded],
) -> Decoded:
    """Return decoded pictures; those of before where somebody keeps them.

    Parameters
    ----------
    what : str
        Which form of the pictures.
    digests : sequence of str
        Their contents, in order.
    preprocessing : Preprocessing
        The network's.
    make : callable
        Decodes them.
    """
    if not _in_use:
        return make()
    plain = json.dumps([what, preprocessing.as_dict(), *digests], sort_keys=True)
    return _in_use[-1].get(hashlib.sha256(plain.encode()).hexdigest(), make)
