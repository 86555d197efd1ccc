"""Checks of the arrays that a saved classifier is made of: a file is not believed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int | None, ...]
_KINDS = {"f": "floating-point", "i": "whole"}


def check_arrays(
    arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[str, Shape]]
) -> None:
    """Compare arrays with what a classifier needs.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        What was saved.
    expected : mapping of str to (kind, shape)
        Kind ``f`` (finite floating-point numbers) or ``i`` (whole numbers, signed); None in a
        shape is any length from 1 up.

    Raises
    ------
    ValueError
        For a name that is missing or too many, another kind or shape, a value that is not finite.
    """
    if set(arrays) != set(expected):
        raise ValueError(f"arrays {sorted(arrays)}: expected {sorted(expected)}")
    for name, (kind, shape) in expected.items():
        array = arrays[name]
        if array.dtype.kind != kind:
            raise ValueError(f"array {name} is {array.dtype}: expected {_KINDS[kind]} numbers")
        fits = len(array.shape) == len(shape) and all(
            have == want or (want is None and have > 0)
            for have, want in zip(array.shape, shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise ValueError(f"array {name} has shape {array.shape}: expected ({wanted})")
        if kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"array {name} holds values that are not finite")
