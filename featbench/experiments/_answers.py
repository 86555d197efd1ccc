"""What a model says of images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Answers:
    """What a model says of images.

    Parameters
    ----------
    ids : tuple of str
        The images, without those that cannot be decoded.
    predicted : ndarray of int64, shape (n,)
        Indices into the model's classes.
    probabilities : ndarray, shape (n, n_classes), optional
        Where the head gives them.
    scores : ndarray, shape (n, n_classes), optional
        Where it does not: what it ranks classes by. No probabilities.
    skipped : tuple of (str, str)
        Id and reason of each image that cannot be decoded.
    """

    ids: tuple[str, ...]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None
    scores: NDArray[np.float64] | None
    skipped: tuple[tuple[str, str], ...]

    def top(self, i: int, most: int) -> list[tuple[int, float | None]]:
        """Return an image's likeliest classes and their probability (None without), best first."""
        values = self.probabilities if self.probabilities is not None else self.scores
        first = int(self.predicted[i])
        others: list[int] = []
        if values is not None:
            order = np.argsort(-values[i], kind="stable").tolist()
            others = [c for c in order if c != first and np.isfinite(values[i, c])]
        chances = self.probabilities
        return [
            (c, None if chances is None else float(chances[i, c])) for c in [first, *others][:most]
        ]
