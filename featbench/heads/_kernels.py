"""Kernel matrices from matrix products: all four kernels are functions of x·z and the norms."""

import numpy as np
import torch
from numpy.typing import NDArray

KERNELS = ("linear", "poly", "rbf", "sigmoid")
_EXACT = 2**31
"""Below so many multiplications products are float64; it takes a second at most."""

Floats = NDArray[np.float64]


def products(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """Return the inner products of rows, (len(a), len(b)) float64.

    Parameters
    ----------
    a, b : ndarray, shape (n, d) and (m, d)
        Rows. Where float32 rows make a big product, it is made in float32: its rounding, 1e-6 of
        the rows' lengths, is far below what a solver's tolerance of 1e-3 can see.
    """
    big = len(a) * len(b) * a.shape[1] > _EXACT
    dtype = np.float32 if big and a.dtype == b.dtype == np.float32 else np.float64
    left, right = (torch.from_numpy(np.ascontiguousarray(one, dtype)) for one in (a, b))
    product: Floats = (left @ right.T).numpy().astype(np.float64, copy=False)
    return product


def kernel_matrix(
    product: Floats,
    squares_a: Floats,
    squares_b: Floats,
    kernel: str,
    *,
    gamma: float,
    degree: int,
    coef0: float,
) -> Floats:
    """Turn inner products into kernel values, in place.

    Parameters
    ----------
    product : ndarray of float64, shape (n, m)
        x·z; is overwritten.
    squares_a, squares_b : ndarray of float64, shape (n,) and (m,)
        Each row's squared length.
    kernel : str
        ``linear``; ``poly`` (gamma x·z + coef0) ** degree; ``rbf`` exp(-gamma |x - z|²); or
        ``sigmoid`` tanh(gamma x·z + coef0): as in LIBSVM (Chang and Lin 2011).
    gamma, degree, coef0 : float, int, float
        The kernel's numbers.
    """
    values = torch.from_numpy(product)  # its functions take all cores
    if kernel == "rbf":
        values.mul_(-2.0).add_(torch.from_numpy(squares_a)[:, None])
        values.add_(torch.from_numpy(squares_b)).clamp_(min=0.0).mul_(-gamma).exp_()
    elif kernel == "poly":
        values.mul_(gamma).add_(coef0).pow_(degree)
    elif kernel == "sigmoid":
        values.mul_(gamma).add_(coef0).tanh_()
    return product
