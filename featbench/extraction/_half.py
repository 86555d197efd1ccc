"""How a space keeps its rows: float32, or 16 bits a value, decided row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.errors import UsageError

FLOAT32, HALF = "float32", "half"
STORAGES = (FLOAT32, HALF)
DTYPES: dict[str, np.dtype[Any]] = {
    FLOAT32: np.dtype(np.float32),
    HALF: np.dtype(np.uint16),
}
"""What a row's values are on disk and in memory: a half row is words, whose meaning is its own."""

_NORMAL = 2.0**-14
"""The smallest number that float16 holds with all its bits."""


def check_storage(storage: str) -> str:
    """Return the name of a way to keep rows; raises UsageError for an unknown one."""
    if storage not in STORAGES:
        raise UsageError(f"storage={storage!r}: expected {', '.join(STORAGES)}")
    return storage


@dataclass(frozen=True)
class Kept:
    """Rows as a space keeps them.

    Half the bits are float16's, which is eight times finer than bfloat16; a row with a number that
    float16 cannot hold, or with none that it holds in full (random weights can fade to 1e-8), is
    kept as bfloat16, whose range is float32's. So what is kept of an image hangs on no other image.

    Parameters
    ----------
    values : ndarray of float32 or uint16, shape (n, ...) or (n, views, ...)
        The numbers; in a half space 16-bit words: the bits of float16, or of bfloat16.
    wide : ndarray of bool, shape (n,) or (n, views)
        Which rows' words are bfloat16.
    """

    values: NDArray[Any]
    wide: NDArray[np.bool_]

    @classmethod
    def empty(cls, lead: tuple[int, ...], row_shape: tuple[int, ...], storage: str) -> Self:
        """Make room for rows."""
        return cls(np.empty((*lead, *row_shape), DTYPES[storage]), np.zeros(lead, bool))

    @classmethod
    def of(cls, rows: NDArray[np.float32], storage: str) -> Self:
        """Round rows (n, ...), to the nearest and to even, as a space keeps them."""
        if storage == FLOAT32:
            return cls(rows, np.zeros(len(rows), bool))
        numbers = torch.from_numpy(np.ascontiguousarray(rows))
        half = numbers.half()
        lost = half.isinf() & numbers.isfinite()
        largest = numbers.abs().flatten(1).amax(1)
        wide = lost.flatten(1).any(1) | ((largest > 0) & (largest < _NORMAL))
        words = half.view(torch.int16)
        if wide.any():
            words[wide] = numbers[wide].bfloat16().view(torch.int16)
        return cls(words.numpy().view(np.uint16), wide.numpy())

    @classmethod
    def joined(cls, parts: Sequence["Kept"]) -> Self:
        """Put rows of one space one after another."""
        values = np.concatenate([part.values for part in parts])
        return cls(values, np.concatenate([part.wide for part in parts]))

    def __len__(self) -> int:
        return len(self.wide)

    def __getitem__(self, where: Any) -> "Kept":
        return Kept(self.values[where], self.wide[where])

    def __setitem__(self, where: Any, rows: "Kept") -> None:
        self.values[where], self.wide[where] = rows.values, rows.wide

    def numbers(self) -> NDArray[Any]:
        """Return the rows as numbers, in as few bits as hold all of them.

        Returns
        -------
        ndarray of float32 or float16
            Of a half space float16, without a copy; but float32 where any of these rows is
            bfloat16, for no 16 bits hold both.
        """
        if self.values.dtype != np.uint16:
            return self.values
        half: NDArray[np.float16] = self.values.view(np.float16)
        if not self.wide.any():
            return half
        rows = half.astype(np.float32)
        rows[self.wide] = (self.values[self.wide].astype(np.uint32) << 16).view(np.float32)
        return rows
