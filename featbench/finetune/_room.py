"""Work in as large pieces as memory has room for: where it runs out, they are halved."""

import itertools
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from featbench.errors import FeatbenchError

Found = TypeVar("Found")
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


class Room:
    """How many rows at once memory has had room for so far.

    Parameters
    ----------
    work : str
        What is done, for the notice.
    least : int
        Rows that a piece needs.
    say : callable
        Takes one line of news.
    note : str
        What else to tell where pieces are halved.
    """

    def __init__(
        self, work: str, least: int = 1, say: Callable[[str], object] = lambda line: None,
        note: str = "",
    ) -> None:  # fmt: skip
        self.most: int | None = None
        """Rows in a piece; None while memory has never run out."""
        self._work, self._least, self._say, self._note = work, least, say, note

    def each(
        self,
        count: int,
        work: Callable[[slice], Found],
        begin: Callable[[], object] = lambda: None,
    ) -> list[Found]:
        """Return what ``work`` gives for each piece of so many rows.

        Parameters
        ----------
        count : int
            Rows in all.
        work : callable
            Does one piece, given as a slice of the rows.
        begin : callable
            Called before the first piece; again, to undo, where memory ran out.

        Raises
        ------
        FeatbenchError
            When memory has no room for the smallest piece.
        """
        while True:
            begin()
            pieces = self._pieces(count)
            try:
                return [work(piece) for piece in pieces]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            # here, and not above: while an error is handled its frames hold their tensors
            largest = max(piece.stop - piece.start for piece in pieces)
            self.most = (largest + 1) // 2
            if largest == 1 or len(self._pieces(count)) == len(pieces):
                raise FeatbenchError(
                    f"{self._work}: memory has no room for images even {largest} at a time; use a "
                    "smaller network or smaller images, or train fewer blocks"
                )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self._say(f"{self._work}: memory has no room for {largest} images at once: from now on "
                      f"{self.most}{self._note}")  # fmt: skip

    def _pieces(self, count: int) -> list[slice]:
        """Divide rows evenly into pieces of at most ``most``, and at least ``least``."""
        wanted = 1 if self.most is None else -(-count // self.most)
        number = max(1, min(wanted, count // self._least))
        edges = [count * i // number for i in range(number + 1)]
        return [slice(a, b) for a, b in itertools.pairwise(edges)]


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that memory ran out, on a device or on the CPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)


def training_room(module: nn.Module, say: Callable[[str], object]) -> Room:
    """Return the room for a step of training: batch norm needs two rows to learn from.

    Parameters
    ----------
    module : Module
        What is trained.
    say : callable
        Takes one line of news.
    """
    has_norm = any(isinstance(part, _BatchNorm) for part in module.modules())
    note = ", their gradients added up: the step is the whole batch's"
    note += ", but for batch norm, which sees a piece at a time" if has_norm else ""
    return Room("training", 2 if has_norm else 1, say, note)
