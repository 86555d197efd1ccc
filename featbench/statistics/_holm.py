"""Many tests at once: Holm's step-down correction."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values adjusted so that any false finding among all has at most the level's chance.

    Parameters
    ----------
    p_values : array-like, shape (n_tests,)
        Of tests that may depend on each other in any way.

    Returns
    -------
    ndarray, shape (n_tests,)
        In the same order; the i-th smallest is max over j ≤ i of (n_tests - j + 1) p₍ⱼ₎, at most 1.

    References
    ----------
    S. Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6:65.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(stepped))
    return adjusted
