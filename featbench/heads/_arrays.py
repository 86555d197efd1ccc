"""Checks of the arrays that a saved classifier is made of: their file may be somebody else's."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATS = (np.float32, np.float64)


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
        raise ValueError(f"{name}: has dtype {array.dtype}")
    if array.shape != tuple(shape):
        raise ValueError(f"{name}: has shape {array.shape}, expected {tuple(shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: holds a value that is not finite")
    return array
