"""Gram matrices from products of matrices: all four kernels are functions of x·z and the norms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.heads._arrays import OWNED
from featbench.heads._device import products_in

KERNELS = ("linear", "poly", "rbf", "sigmoid")
_EXACT = 2**33
"""Below so many multiplications products are float64; it takes a second at most."""
_OFFSET = 100.0
"""So many times the variance the squared mean may be before float32 products lose too much."""
_BLOCK = 512

CPU = torch.device("cpu")
Floats = NDArray[np.float64]
Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Kernel:
    """A kernel with its numbers, as in LIBSVM (Chang and Lin 2011).

    Parameters
    ----------
    name : str
        ``linear`` x·z; ``poly`` (gamma x·z + coef0) ** degree; ``rbf`` exp(-gamma |x - z|²);
        ``sigmoid`` tanh(gamma x·z + coef0).
    gamma, degree, coef0 : float, int, float
        The numbers.
    """

    name: str
    gamma: float = 1.0
    degree: int = 3
    coef0: float = 0.0

    def of_(self, product: torch.Tensor, squares_a: Floats, squares_b: Floats) -> torch.Tensor:
        """Turn inner products (n, m) into kernel values, in place; squares are |x|², (n,), (m,)."""
        if self.name == "rbf":
            a, b = (torch.from_numpy(s).to(product) for s in (squares_a, squares_b))
            product.mul_(-2.0).add_(a[:, None]).add_(b).clamp_(min=0.0).mul_(-self.gamma).exp_()
        elif self.name == "poly":
            product.mul_(self.gamma).add_(self.coef0).pow_(self.degree)
        elif self.name == "sigmoid":
            product.mul_(self.gamma).add_(self.coef0).tanh_()
        return product

    def diagonal(self, squares: Floats) -> Floats:
        """Return k(x, x) from |x|², (n,)."""
        if self.name == "rbf":
            return np.ones_like(squares)
        own = torch.from_numpy(squares.copy())
        values: Floats = self.of_(own, squares, squares).numpy()
        return values


def squared_lengths(X: Rows) -> Floats:
    """Return |x|² of each row of X (n, d), shape (n,)."""
    squares = np.empty(len(X))
    for start, end in _blocks(len(X)):  # in blocks: a copy of all rows in double precision is big
        rows = X[start:end].astype(np.float64, copy=False)
        squares[start:end] = np.einsum("ij,ij->i", rows, rows)
    return squares


def variance(X: Rows) -> float:
    """Return the variance of all values of X (n, d)."""
    mean, total = float(X.mean(dtype=np.float64)), 0.0
    for start, end in _blocks(len(X)):
        total += float(((X[start:end].astype(np.float64) - mean) ** 2).sum())
    return total / X.size


def products_dtype(rows: Rows) -> torch.dtype:
    """Return in what precision a machine fitted on rows (n, d) makes products, then and later.

    Big ones are made in float32: its rounding, 1e-6 of the rows' lengths, is far below what a
    solver's tolerance of 1e-3 can see, unless the rows' spread is small beside their mean.
    """
    if len(rows) ** 2 * rows.shape[1] <= _EXACT:
        return torch.float64
    mean = rows.mean(axis=0, dtype=np.float64)
    offset = float(mean @ mean)
    spread = float(squared_lengths(rows).mean()) - offset
    return torch.float32 if offset <= _OFFSET * spread else torch.float64


@products_in("highest")
def products(a: Rows, b: Rows, dtype: torch.dtype, device: torch.device = CPU) -> torch.Tensor:
    """Return the inner products of rows (n, d) and (m, d), shape (n, m), on a device."""
    left, right = _tensor(a, dtype, device), _tensor(b, dtype, device)
    return left @ right.T


@products_in("highest")
def own_products(
    rows: Rows, dtype: torch.dtype = torch.float64, device: torch.device = CPU
) -> torch.Tensor:
    """Return the inner products of rows (n, d) with each other, (n, n): one triangle is made."""
    whole = _tensor(rows, dtype, device)
    made = torch.empty(len(rows), len(rows), dtype=whole.dtype, device=device)
    for start, end in _blocks(len(rows)):
        torch.mm(whole[start:end], whole[:end].T, out=made[start:end, :end])
        made[:start, start:end] = made[start:end, :start].T
    return made


@products_in("highest")
def gram_matrix(
    rows: Rows, squares: Floats, kernel: Kernel, device: torch.device = CPU,
    dtype: torch.dtype = torch.float64,
) -> NDArray[np.float32]:  # fmt: skip
    """Return kernel values between rows (n, d), (n, n), as single as LIBSVM keeps them.

    Parameters
    ----------
    rows : ndarray, shape (n, d)
        Rows; beside the result a block of it is held, and a copy of the rows in other precision.
    squares : ndarray of float64, shape (n,)
        Each row's |x|².
    kernel : Kernel
        Which.
    device : torch.device
        Where it is computed, block by block.
    dtype : torch.dtype
        Of the products, see ``products_dtype``.
    """
    whole = _tensor(rows, dtype, device)
    return _gram(lambda start, end: whole[start:end] @ whole[:end].T, squares, kernel)


def gram_of(product: torch.Tensor, squares: Floats, kernel: Kernel) -> NDArray[np.float32]:
    """Return the same as ``gram_matrix`` from the rows' products (n, n), which stay as they are."""
    return _gram(lambda start, end: product[start:end, :end].clone(), squares, kernel)


def _gram(
    block: Callable[[int, int], torch.Tensor], squares: Floats, kernel: Kernel
) -> NDArray[np.float32]:
    count = len(squares)
    made = torch.empty(count, count, dtype=torch.float32)
    for start, end in _blocks(count):
        made[start:end, :end] = kernel.of_(block(start, end), squares[start:end], squares[:end])
        made[:start, start:end] = made[start:end, :start].T
    gram: NDArray[np.float32] = made.numpy()
    return gram


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _BLOCK):
        yield start, min(count, start + _BLOCK)


def _tensor(rows: Rows, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.require(rows, requirements=OWNED)).to(device, dtype)
