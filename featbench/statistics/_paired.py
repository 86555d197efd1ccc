"""Tests of two methods on the same images: McNemar's, and sign flips counted exactly."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.special import bdtr, chdtrc, gammaln

from featbench.errors import UsageError

MCNEMAR = ("mid-p", "exact", "chi2", "chi2-corrected")
_LEAST = 1e-12  # the Fourier sum is right to about 1e-15: what is below this is not told apart


def mcnemar(only_first: int, only_second: int, *, method: str = "mid-p") -> float:
    """Return McNemar's two-sided p-value of two methods' answers to the same images.

    Images that both methods have right, or both wrong, say nothing; of the others, as many should
    fall to one method as to the other.

    ``mid-p``, the default for any number of disagreements, is the exact binomial p-value less
    half of what is exactly as far from even as the data. It keeps the level where the number of
    disagreements is left to chance, as it is here (at most 1.004 times the nominal one for any
    expected number, from 5% down to 0.01%); the exact test stays at 0.87 of it even with 300
    disagreements, the corrected chi-squared likewise, and the uncorrected one goes to 1.06
    (``tests/statistics/test_paired.py`` computes these). A binomial sum is cheap at any size, so
    there is no need to change to a chi-squared for many.

    Parameters
    ----------
    only_first, only_second : int
        How many images only the first, and only the second method has right.
    method : str
        ``mid-p``, ``exact``, ``chi2``, or ``chi2-corrected`` (Edwards 1948).

    Raises
    ------
    UsageError
        For another method.

    References
    ----------
    Q. McNemar (1947), Psychometrika 12:153; A. L. Edwards (1948), Psychometrika 13:185;
    M. W. Fagerland, S. Lydersen and P. Laake (2013), "The McNemar test for binary matched-pairs
    data: mid-p and asymptotic are better than exact conditional", BMC Medical Research
    Methodology 13:91.
    """
    if method not in MCNEMAR:
        raise UsageError(f"McNemar method {method!r}: expected {', '.join(MCNEMAR)}")
    few, total = min(only_first, only_second), only_first + only_second
    if total == 0:
        return 1.0
    if method.startswith("chi2"):
        apart = abs(only_first - only_second)
        if method == "chi2-corrected":
            apart = max(apart - 1, 0)
        return float(chdtrc(1, apart**2 / total))
    exact = min(1.0, 2 * float(bdtr(few, total, 0.5)))
    if method == "exact":
        return exact
    just_so = gammaln(total + 1) - gammaln(few + 1) - gammaln(total - few + 1) - total * np.log(2)
    return exact - float(np.exp(just_so)) * (0.5 if 2 * few == total else 1.0)


def sign_flip_test(differences: ArrayLike, *, mid_p: bool = False) -> float:
    """Return the two-sided p-value of a sum of paired differences under all flips of their signs.

    Without a true difference between two methods each unit's difference (an image's, or a group's
    sum) is as likely with the other sign. All 2ⁿ flips are counted, none is drawn: the sum's
    distribution is the inverse Fourier transform of ∏ cos(kθ). So p is the same each time, and
    small p-values are told apart however many pairs of methods a correction goes over.

    With differences of -1, 0 and 1 this is McNemar's test. With groups it is the wild cluster
    bootstrap of a mean with Rademacher weights, the null imposed, in which every resample occurs
    once.

    Parameters
    ----------
    differences : array-like of int, shape (n_units,)
        Differences in whole numbers, such as counts of right answers.
    mid_p : bool
        Count what is exactly as far out as the data by half.

    Returns
    -------
    float
        At least 1e-12.

    References
    ----------
    R. A. Fisher (1935), "The design of experiments", section 21; M. Pagano and D. Tritchler
    (1983), "On obtaining permutation distributions in polynomial time", JASA 78:435;
    A. C. Cameron, J. B. Gelbach and D. L. Miller (2008), "Bootstrap-based improvements for
    inference with clustered errors", Review of Economics and Statistics 90:414; I. A. Canay,
    J. P. Romano and A. M. Shaikh (2017), "Randomization tests under an approximate symmetry
    assumption", Econometrica 85:1013.
    """
    steps = np.asarray(differences, dtype=np.int64)
    sizes, counts = np.unique(np.abs(steps[steps != 0]), return_counts=True)
    if not len(sizes):
        return 1.0
    divisor = int(np.gcd.reduce(sizes))
    sizes = sizes // divisor
    farthest, observed = int(sizes @ counts), abs(int(steps.sum())) // divisor
    # the sum is 2j - farthest, j = 0 … farthest; this is the Fourier transform of j's chances
    length = fft.next_fast_len(farthest + 1, real=True)
    angle = np.pi * np.arange(length // 2 + 1) / length
    wave = np.exp(-1j * farthest * angle)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        wave *= np.cos(size * angle) ** count
    chances = fft.irfft(wave, length)[: farthest + 1]
    beyond = (farthest - observed) // 2  # j of -observed; by symmetry one side stands for both
    if observed == 0:
        return 1.0 - mid_p * 0.5 * float(chances[beyond])
    p = 2 * float(chances[:beyond].sum()) + (1 if mid_p else 2) * float(chances[beyond])
    return min(1.0, max(p, _LEAST))
