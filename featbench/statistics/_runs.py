"""Methods with several runs each: how their answers are paired, and what the seeds add."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from featbench.errors import UsageError
from featbench.statistics._paired import mcnemar, sign_flip_test

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Seeded:
    """Which images a method has right, run by run.

    Parameters
    ----------
    right : ndarray of bool, shape (n_runs, n_images)
        The images in one order for all methods.
    seeds : tuple of int
        One a run, none twice.
    """

    right: NDArray[np.bool_]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.seeds)) != len(self.right) or not self.seeds:
            raise UsageError(f"seeds {self.seeds} for {len(self.right)} runs: expected one a run, "
                             "none twice")  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """How uncertain a mean over images and runs is.

    Parameters
    ----------
    images : float
        The variance that other images (or groups) would bring, these runs given.
    seeds : float
        The variance that other seeds would bring.
    freedom : float
        Degrees of freedom of the sum.
    """

    images: float
    seeds: float
    freedom: float

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.images + self.seeds))


def spread_of(per_image: Floats, by_seed: list[Floats], groups: Codes | None) -> Spread:
    """Return the variance of a mean over images, and over runs where there are several.

    Each part is estimated by itself and they are added. What images and seeds do together is in
    both, so the sum errs to caution (Owen 2007; Cameron, Gelbach and Miller 2011 take it off once,
    but then few seeds find too much). Degrees of freedom are Satterthwaite's (1946).

    Parameters
    ----------
    per_image : ndarray, shape (n_images,)
        Each image's mean over runs; of a difference, or of one method.
    by_seed : list of ndarray, shape (n_seeds,)
        Means over images, seed by seed, for each source of seeds that is independent.
    groups : ndarray of int64, shape (n_images,), optional
        0 … n_groups - 1.
    """
    n = len(per_image)
    rest = per_image - per_image.mean()
    sums = rest if groups is None else np.bincount(groups, rest)
    units = len(sums)
    images = float(sums @ sums) / n**2 * units / (units - 1) if units > 1 else np.inf
    sources = [(float(m.var(ddof=1)) / len(m), len(m) - 1) for m in by_seed if len(m) > 1]
    seeds = sum(variance for variance, _ in sources)
    doubt = sum(variance**2 / freedom for variance, freedom in sources)
    doubt += images**2 / (units - 1) if units > 1 else 0.0
    freedom = (images + seeds) ** 2 / doubt if doubt > 0 else np.inf
    return Spread(images, seeds, float(freedom))


def paired_p_value(first: Seeded, second: Seeded, groups: Codes | None = None) -> float:
    """Return the two-sided p-value of a difference in accuracy on the same images.

    The rule. Runs are paired seed by seed: where two methods have two seeds or more in common,
    on those; a method with one run (it may be deterministic) is set against each run of the
    other; methods with several runs and fewer than two seeds in common are compared by the means
    of all their runs. An image's difference is that of its right answers summed over the pairs.

    *Images.* Signs are flipped by image, or by group, with an image's runs kept together, and
    every flip is counted (``sign_flip_test``). With one run each and no groups that is
    McNemar's test; by image it is mid-p, by group exact.

    *Seeds.* Where a method has several runs, p is at least that of a t-test in which the variance
    over images and the variance over seeds are added (``spread_of``). Without it, a method that
    was lucky with its seeds would pass for better: with 3 seeds that bring 1.65 times the
    images' variance, flips alone find a difference at 5% in 23% of cases where there is none, at
    0.1% in 4%; with the seeds' part 4.9% and 0.4% (``benchmarks/seeds.py``). Two seeds tell little
    about luck (7.7% and 1%): three or more are worth having. Of a method with one run, how much
    another seed would change cannot be known, and is not counted.

    Parameters
    ----------
    first, second : Seeded
        Of the same images in the same order.
    groups : ndarray of int64, shape (n_images,), optional
        0 … n_groups - 1: images that belong together.
    """
    mine, other, paired = _matched(first, second)
    if groups is None and len(mine) == len(other) == 1:
        a, b = mine[0], other[0]
        return mcnemar(int((a & ~b).sum()), int((b & ~a).sum()))
    least = np.lcm(len(mine), len(other))
    steps = mine.sum(axis=0) * (least // len(mine)) - other.sum(axis=0) * (least // len(other))
    sums = steps if groups is None else _group_sums(steps, groups)
    p = sign_flip_test(sums, mid_p=groups is None)
    if len(mine) == len(other) == 1:
        return p
    means = [mine.mean(axis=1), other.mean(axis=1)]
    by_seed = [means[0] - means[1]] if paired else means
    spread = spread_of(steps / least, by_seed, groups)
    if spread.error == 0 or not np.isfinite(spread.error):
        return p  # all images alike, or one group: the flips say all that there is
    t = abs(float(steps.mean()) / least) / spread.error
    return max(p, 2 * float(stdtr(spread.freedom, -t)))


def _matched(first: Seeded, second: Seeded) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Return both methods' runs to compare, and whether they are paired."""
    if 1 in (len(first.seeds), len(second.seeds)):
        return first.right, second.right, True
    common = sorted(set(first.seeds) & set(second.seeds))
    if len(common) < 2:
        return first.right, second.right, False
    return (
        first.right[[first.seeds.index(seed) for seed in common]],
        second.right[[second.seeds.index(seed) for seed in common]],
        True,
    )


def _group_sums(steps: NDArray[np.int64], groups: Codes) -> NDArray[np.int64]:
    sums = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.add.at(sums, groups, steps)
    return sums
