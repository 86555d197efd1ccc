"""Python loops over arrays as machine code, by numba."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called; it then runs without the interpreter's lock.

    The machine code is kept on disk where a folder can be written.
    """
    try:
        return numba.njit(function, nogil=True, cache=True)
    except RuntimeError:  # there is none: compile anew in each process
        return numba.njit(function, nogil=True)
