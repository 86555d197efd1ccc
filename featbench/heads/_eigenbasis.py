"""Rows in the eigenbasis of their covariance."""

from dataclasses import dataclass

import torch
from torch import Tensor

from featbench.heads._device import products_in

_SMALL = 2**17
"""Below so many numbers a mean in double precision costs nothing."""


@dataclass
class Rows:
    """Centred rows in their eigenbasis, and how to come back.

    Attributes
    ----------
    X : Tensor, shape (n, r + 1)
        Rows in the basis, and a column of ones for the intercept.
    basis : Tensor, shape (d, r)
        Orthonormal columns.
    mean : Tensor, shape (d,)
        What was taken from every row.
    spread : Tensor, shape (r + 1, 1)
        Weighted sum of squares of each column of X.
    """

    X: Tensor
    basis: Tensor
    mean: Tensor
    spread: Tensor


def rotate(X: Tensor, weights: Tensor) -> Rows:
    """Centre rows X (n, d) with weights (n,) and turn them into their eigenbasis.

    With an L2 penalty the optimum lies in the span of the rows, so that n < d rows need n columns
    only; centring moves the intercept alone, which bears no penalty. Both are exact.
    """
    n, d = X.shape
    mean = (weights @ X.double() if n * d < _SMALL else weights.to(X.dtype) @ X) / weights.sum()
    mean = mean.to(X.dtype)
    X = X - mean
    basis = None
    if n < d:
        basis, upper = torch.linalg.qr(X.T)
        X = upper.T.contiguous()
    with products_in("medium"):  # any orthonormal basis is exact; that of rounded rows is as good
        scatter = X.T @ (X * weights[:, None].to(X.dtype))
    turn = torch.linalg.eigh(scatter).eigenvectors
    X = torch.cat([X @ turn, X.new_ones(n, 1)], dim=1)
    spread = (weights.to(X.dtype) @ X.square())[:, None]
    return Rows(X, turn if basis is None else basis @ turn, mean, spread)
