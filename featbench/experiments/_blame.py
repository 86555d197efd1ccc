"""What a head raises on odd rows, told as what it is: a matter of the data."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch.linalg import LinAlgError  # type: ignore[attr-defined]  # public, says its guide

from featbench.errors import FeatbenchError, UsageError
from featbench.experiments._rows import Rows

NUMERICAL = (ValueError, ArithmeticError, np.linalg.LinAlgError, LinAlgError)
"""What input checks (ours, scikit-learn's) and arithmetic raise; anything else is a bug.

The same settings worked on made-up rows before (see ``create_head``), so it is these rows.
"""


@contextmanager
def blaming(name: str, rows: Rows) -> Iterator[None]:
    """Turn a failure of validation or arithmetic into one that names head, data and next step.

    Parameters
    ----------
    name : str
        The head.
    rows : Rows
        What it is fitted on, or asked about.

    Raises
    ------
    UsageError
        In place of one of ``NUMERICAL``, which is its cause (``--debug`` shows it).
    """
    try:
        yield
    except FeatbenchError:
        raise
    except NUMERICAL as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"{rows.dataset.source}: head {name} fails on these {rows.dataset.item}s: "
            f"{reason.rstrip('.')}; {_next_step(rows)}"
        ) from error


def _next_step(rows: Rows) -> str:
    """Say what is odd about the rows, and what to do about it."""
    item = rows.dataset.item
    largest = max(_largest(part.X) for part in rows.parts.values())
    bound = float(np.sqrt(np.finfo(rows.train.X.dtype).max / rows.train.X.shape[1]))
    if not largest < bound:
        return f"their values reach {largest:.0e}, which cannot be squared: scale them down"
    counts = np.bincount(rows.train.y)
    if (single := np.flatnonzero(counts == 1)).size:
        names = ", ".join(rows.dataset.classes[label] for label in single[:5])
        more = ", …" if len(single) > 5 else ""
        return f"classes with a single training {item}: {names}{more}; add some"
    return "try other settings or another head, or look at the rows; --debug shows where it fails"


def _largest(X: NDArray[np.floating]) -> float:
    return float(np.abs(X).max(initial=0.0))
