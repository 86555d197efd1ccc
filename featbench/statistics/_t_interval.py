"""Student's interval of a mean over draws or seeds."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from featbench.errors import UsageError
from featbench.statistics._bootstrap import Interval


def t_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the interval of the mean of what independent draws gave (Student 1908).

    mean ± t(n - 1) · s / √n. It says how far the mean of all draws may be from that of these ones,
    on the same test images; with accuracies near 0 or 1 an end may lie beyond.

    Parameters
    ----------
    values : array, shape (n,)
        One a draw, two or more.
    confidence : float
        How often such intervals hold the true mean, of normally distributed values.

    Raises
    ------
    UsageError
        For fewer than two values, or a confidence that is no share.
    """
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or len(found) < 2:
        raise UsageError(f"t_interval: values of shape {found.shape}: expected two or more draws")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence {confidence}: expected a share between 0 and 1")
    n, mean = len(found), float(found.mean())
    reach = float(stdtrit(n - 1, (1 + confidence) / 2) * found.std(ddof=1) / np.sqrt(n))
    return Interval(mean - reach, mean + reach)
