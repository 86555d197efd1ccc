"""The interval of a proportion that was measured once, on images that stand alone."""

import math
from statistics import NormalDist


def wilson_interval(accuracy: float, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927).

    Parameters
    ----------
    accuracy : float
        The share of right predictions, a fraction.
    n : int
        Of how many.
    confidence : float
        How often such intervals hold the true share.

    Returns
    -------
    low, high : float
        Fractions; (0, 1) where n is 0.

    References
    ----------
    E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22:209.
    """
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    squared = z**2 / n
    middle = accuracy + squared / 2
    half = z * math.sqrt(accuracy * (1 - accuracy) / n + squared / (4 * n))
    low, high = (middle - half) / (1 + squared), (middle + half) / (1 + squared)
    # at the rims the ends are exactly 0 and 1, but for rounding
    return 0.0 if accuracy == 0 else max(0.0, low), 1.0 if accuracy == 1 else min(1.0, high)
