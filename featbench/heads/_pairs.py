"""What all pairs of classes of a one-vs-one machine say of rows, at once."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.heads._compiled import compiled
from featbench.heads._device import products_in
from featbench.heads._kernels import CPU, Floats

_SHARES_BYTES = 10 * 2**20  # they stay in a core's cache while they are counted


class Pairs:
    """A trained machine's coefficients, laid out for products of matrices.

    Parameters
    ----------
    dual_coef : ndarray of float64, shape (n_classes - 1, n_SV)
        As SVC's with more than two classes; positive is the pair's first class.
    intercept : ndarray of float64, shape (n_pairs,)
        One a pair, in the order (0, 1), (0, 2), …
    n_support : ndarray of int, shape (n_classes,)
        Support vectors of each class.
    dtype : torch.dtype
        Of the kernel values to come.
    device : torch.device
        Where those are.
    """

    def __init__(
        self, dual_coef: Floats, intercept: Floats, n_support: NDArray[Any], dtype: torch.dtype,
        device: torch.device = CPU,
    ) -> None:  # fmt: skip
        self.intercept = intercept
        self._count, self._dtype, self._device = len(n_support), dtype, device
        starts = np.cumsum(n_support) - n_support
        sizes = np.where(n_support > 0, np.ceil(np.log2(np.maximum(n_support, 1))), -1)
        self._buckets = []  # classes of like size share a product; the smaller are filled with 0
        for size in np.unique(sizes):
            classes = np.flatnonzero(sizes == size)
            width = max(1, int(n_support[classes].max()))
            inside = np.arange(width) < n_support[classes][:, None]
            places = np.where(inside, starts[classes][:, None] + np.arange(width), 0)
            # against class j lies in row j - 1 for j > c, in row j for j < c; nothing for c itself
            rows = np.arange(self._count) - (np.arange(self._count) > classes[:, None])
            if not dual_coef.shape[1]:
                break
            weights = dual_coef[np.minimum(rows, self._count - 2)[:, :, None], places[:, None]]
            weights *= inside[:, None]
            weights[np.arange(len(classes)), classes] = 0.0
            self._buckets.append(
                (torch.from_numpy(classes).to(device), torch.from_numpy(places).to(device),
                 torch.from_numpy(weights).to(device, dtype))
            )  # fmt: skip

    @property
    def step(self) -> int:
        """How many rows are looked at together."""
        size = self._count**2 * (4 if self._dtype == torch.float32 else 8)
        return min(2048, max(8, _SHARES_BYTES // size))

    def shares(self, kernel: torch.Tensor) -> torch.Tensor:
        """Return what class i's support vectors add to its pair with j, (i, j, rows).

        ``kernel`` holds the support vectors' kernel values with the rows, (n_SV, rows).
        """
        if not len(kernel):  # a solver stopped at once leaves none: the intercepts decide
            size = (self._count, self._count, kernel.shape[1])
            return torch.zeros(size, dtype=self._dtype, device=self._device)
        if len(self._buckets) == 1:  # all classes, in order
            _, places, weights = self._buckets[0]
            return torch.bmm(weights, kernel[places])
        size = (self._count, self._count, kernel.shape[1])
        values = torch.empty(size, dtype=self._dtype, device=self._device)
        for classes, places, weights in self._buckets:
            values[classes] = torch.bmm(weights, kernel[places])
        return values

    def votes(self, kernel: torch.Tensor) -> NDArray[np.int32]:
        """Return how many pairs each class wins, (rows, n_classes)."""

        def count(shares: torch.Tensor) -> NDArray[Any]:
            won: NDArray[np.int32] = np.zeros((self._count, shares.shape[2]), np.int32)
            _count_votes(shares.numpy(), self.intercept, won)
            return won.T

        if self._device != CPU:
            return self.look(kernel, votes_of)
        return self._each(kernel, count)

    def winners(self, kernel: torch.Tensor) -> NDArray[np.intp]:
        """Return the class that wins most pairs, (rows,); the first of equals, as in LIBSVM."""
        winners: NDArray[np.intp] = self.votes(kernel).argmax(1)
        return winners

    def look(
        self, kernel: torch.Tensor, say: Callable[[torch.Tensor], NDArray[Any]]
    ) -> NDArray[Any]:
        """Return what ``say`` makes of decision values (n_classes, n_classes, rows), symmetric."""
        first, second = np.triu_indices(self._count, 1)
        constant = torch.zeros(self._count, self._count, 1, dtype=self._dtype)
        constant[first, second, 0] = torch.from_numpy(self.intercept).to(self._dtype)
        constant = (constant + constant.transpose(0, 1)).to(self._device)
        return self._each(kernel, lambda shares: say(shares + shares.transpose(0, 1) + constant))

    def values(self, kernel: torch.Tensor) -> Floats:
        """Return decision values (rows, n_pairs), positive for the pair's first class."""

        def combine(shares: torch.Tensor) -> NDArray[Any]:
            values = np.empty((len(self.intercept), shares.shape[2]))
            _decide(shares.cpu().numpy(), self.intercept, values)
            return values.T

        return self._each(kernel, combine)

    @products_in("highest")
    def _each(
        self, kernel: torch.Tensor, look: Callable[[torch.Tensor], NDArray[Any]]
    ) -> NDArray[Any]:
        return np.concatenate([look(self.shares(part)) for part in self._parts(kernel)])

    def _parts(self, kernel: torch.Tensor) -> Iterator[torch.Tensor]:
        for start in range(0, kernel.shape[1], self.step):
            yield kernel[:, start : start + self.step]


def votes_of(values: torch.Tensor) -> NDArray[np.int32]:
    """Return how many pairs each class wins, (rows, n_classes), as ``_count_votes``, on any device.

    Parameters
    ----------
    values : tensor, shape (n_classes, n_classes, rows)
        Symmetric; [i, j], i < j, is positive for class i. Exactly 0 is a vote for the second class.
    """
    count = len(values)
    is_second = torch.ones(count, count, dtype=torch.bool, device=values.device).tril(-1)
    won = (values > 0) ^ is_second[:, :, None]
    won.diagonal().zero_()  # no class meets itself
    votes: NDArray[np.int32] = won.sum(dim=1, dtype=torch.int32).T.cpu().numpy()
    return votes


@compiled
def _count_votes(shares, intercept, won):  # type: ignore[no-untyped-def]
    """Count votes; a value of exactly 0 is one for the second class, as in LIBSVM."""
    pair = 0
    for i in range(len(shares)):
        for j in range(i + 1, len(shares)):
            for r in range(shares.shape[2]):
                first = shares[i, j, r] + shares[j, i, r] + intercept[pair] > 0
                won[i, r] += first
                won[j, r] += not first
            pair += 1


@compiled
def _decide(shares, intercept, values):  # type: ignore[no-untyped-def]
    pair = 0
    for i in range(len(shares)):
        for j in range(i + 1, len(shares)):
            for r in range(shares.shape[2]):
                values[pair, r] = shares[i, j, r] + shares[j, i, r] + intercept[pair]
            pair += 1
