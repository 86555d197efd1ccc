"""Few-shot results become curves: a method's accuracy against images a class, draw by draw."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featbench.errors import UsageError
from featbench.experiments import Result, method_key
from featbench.report._comparison import as_method
from featbench.report._names import labels_among, method_name, weights_of
from featbench.report._rows import names_of_data
from featbench.statistics import LabelsNeeded, labels_needed

Floats = NDArray[np.float64]

NO_FEW_SHOTS = 'no few-shot runs: a recipe with protocol = "few-shot", or with shots, makes them'


@dataclass(frozen=True)
class FewShotCurve:
    """One method's accuracy against images a class.

    Parameters
    ----------
    dataset, network, weights, method : str
        Of the runs; the data set as it is called beside the others.
    shots : tuple of int
        Images a class, rising.
    draws : tuple of int
        The seeds that every size has.
    accuracies : ndarray of float64, shape (n_sizes, n_draws)
        Test accuracies, fractions.
    images : ndarray of float64, shape (n_sizes,)
        Images learned from in all, the mean over draws: fewer than a class's times classes where
        some class has fewer.
    label : str
        What tells the method from the others on its data set.
    result : Result
        A run of it, without what its sizes and draws do not share.
    left_out : int
        Runs of draws that some size lacks.
    """

    dataset: str
    network: str
    weights: str
    method: str
    shots: tuple[int, ...]
    draws: tuple[int, ...]
    accuracies: Floats
    images: Floats
    label: str
    result: Result
    left_out: int = 0

    @property
    def means(self) -> Floats:
        """Mean accuracy at each size, fractions, shape (n_sizes,)."""
        means: Floats = self.accuracies.mean(axis=1)
        return means

    def needed(self, target: float, *, confidence: float = 0.95) -> LabelsNeeded:
        """Return how many images a class reach an accuracy, see ``statistics.labels_needed``.

        Parameters
        ----------
        target : float
            Test accuracy, a fraction.
        confidence : float
            Of the interval over draws.
        """
        return labels_needed(self.shots, self.accuracies, target, confidence=confidence)

    def images_at(self, shots: float) -> float:
        """Return how many images in all are so many a class, interpolated like the accuracy."""
        return float(np.exp(np.interp(np.log(shots), np.log(self.shots), np.log(self.images))))


def few_shot_curves(results: Sequence[Result]) -> list[FewShotCurve]:
    """Return the few-shot curves among results: runs alike but for images a class, and draw.

    Parameters
    ----------
    results : sequence of Result
        Those that were not few-shot, or failed, are passed over; so are draws that some size lacks.

    Returns
    -------
    list of FewShotCurve
        Data set by data set, in the order of the results.
    """
    few = [r for r in results if r.status == "ok" and "shots" in r.sample]
    names = names_of_data(results)
    return [
        curve
        for fingerprint in dict.fromkeys(r.fingerprint for r in few)
        for curve in _of_data([r for r in few if r.fingerprint == fingerprint], names)
    ]


def _of_data(results: Sequence[Result], names: dict[tuple[str, str], str]) -> list[FewShotCurve]:
    grouped: dict[str, dict[int, dict[int, Result]]] = {}
    for result in results:
        by_size = grouped.setdefault(few_shot_key(result), {})
        by_size.setdefault(result.sample["shots"], {})[result.seed] = result
    methods = [
        as_method(next(iter(next(iter(by_size.values())).values())), n_per_class=None, sample={})
        for by_size in grouped.values()
    ]
    labels = labels_among(methods)
    return [
        curve
        for method, label, by_size in zip(methods, labels, grouped.values(), strict=True)
        for curve in _curve(method, label, by_size, names)
    ]


def _curve(
    method: Result,
    label: str,
    by_size: dict[int, dict[int, Result]],
    names: dict[tuple[str, str], str],
) -> Iterator[FewShotCurve]:
    """Yield a method's curve, if its sizes have a draw in common."""
    shots = sorted(by_size)
    draws = sorted(set.intersection(*(set(by_size[k]) for k in shots)))
    if not draws:
        return
    values = [[by_size[k][seed].test_accuracy for seed in draws] for k in shots]
    images = [[by_size[k][seed].n_train for seed in draws] for k in shots]
    yield FewShotCurve(
        names[method.dataset, method.fingerprint],
        method.network,
        weights_of(method),
        method_name(method),
        tuple(shots),
        tuple(draws),
        np.array(values, dtype=np.float64),
        np.array(images, dtype=np.float64).mean(axis=1),
        label,
        method,
        sum(len(runs) - len(draws) for runs in by_size.values()),
    )


def few_shot_key(result: Result) -> str:
    """Return what a run shares with the same method's runs of other sizes and draws."""
    key = json.loads(method_key(result))
    return json.dumps({k: v for k, v in key.items() if k not in ("n_per_class", "sample")})


def fraction_of(per_cent: float, option: str) -> float:
    """Return an accuracy to reach as a fraction.

    Parameters
    ----------
    per_cent : float
        As typed.
    option : str
        Which option has it, for the message.

    Raises
    ------
    UsageError
        For what is no accuracy in per cent.
    """
    if 0 < per_cent <= 1:
        raise UsageError(f"{option} {per_cent:g}: is in per cent, such as {100 * per_cent:g}")
    if not 1 < per_cent <= 100:
        raise UsageError(f"{option} {per_cent:g}: expected an accuracy in per cent, such as 80")
    return per_cent / 100
