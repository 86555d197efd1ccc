"""What can be said of an accuracy that was measured on a finite test split."""

import math

_Z95 = 1.959963984540054


def wilson_interval(accuracy: float, n: int) -> tuple[float, float]:
    """Return the 95% score interval of a proportion (Wilson 1927).

    Parameters
    ----------
    accuracy : float
        The share of right predictions, a fraction.
    n : int
        Of how many.

    Returns
    -------
    low, high : float
        Fractions; (0, 1) where n is 0.
    """
    if n == 0:
        return 0.0, 1.0
    squared = _Z95**2 / n
    middle = accuracy + squared / 2
    half = _Z95 * math.sqrt(accuracy * (1 - accuracy) / n + squared / (4 * n))
    low, high = (middle - half) / (1 + squared), (middle + half) / (1 + squared)
    return max(0.0, low), min(1.0, high)
