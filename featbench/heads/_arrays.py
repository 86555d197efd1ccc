"""Arrays: what torch may be given, and checks of those that somebody else's file may hold."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FLOATS = (np.float32, np.float64)
OWNED: Final = ("C", "W")
"""What an array needs to be a tensor: torch warns of rows that are for reading only (joblib's)."""
Shape = tuple[int | None, ...]
_KINDS = {"f": "floating-point", "i": "whole"}


def check_names(arrays: Mapping[str, NDArray[Any]], expected: Iterable[str]) -> None:
    """Raise ValueError unless exactly the expected arrays are there.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        What a file holds.
    expected : iterable of str
        The names there must be.
    """
    wanted = set(expected)
    if missing := sorted(wanted - arrays.keys()):
        raise ValueError(f"array {missing[0]!r} is missing")
    if unknown := sorted(arrays.keys() - wanted):
        raise ValueError(f"array {unknown[0][:40]!r} is not known")


def check_array(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: Sequence[int], dtypes: Iterable[Any]
) -> NDArray[Any]:
    """Return one array that has this shape and one of these dtypes, all of it finite.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        What a file holds.
    name : str
        Which.
    shape : sequence of int
        As it must be.
    dtypes : iterable of dtype
        Which it may have.

    Raises
    ------
    ValueError
        When it is missing or not so.
    """
    check_names({n: a for n, a in arrays.items() if n == name}, [name])
    array = arrays[name]
    if array.dtype not in [np.dtype(dtype) for dtype in dtypes]:
        raise ValueError(f"array {name} has dtype {array.dtype}")
    if array.shape != tuple(shape):
        raise ValueError(f"array {name} has shape {array.shape}, expected {tuple(shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"array {name} holds values that are not finite")
    return array


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
    check_names(arrays, expected)
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
