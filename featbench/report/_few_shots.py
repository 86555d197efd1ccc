"""Few-shot curves of results, and how many labels each method needs to reach an accuracy."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featbench.experiments import Result
from featbench.report._comparison import method_key
from featbench.report._names import method_name
from featbench.statistics import labels_needed


@dataclass(frozen=True)
class FewShotCurve:
    """One method's accuracy against images a class.

    Parameters
    ----------
    dataset, network, weights, method : str
        Of the runs.
    shots : tuple of int
        Images a class, rising.
    draws : tuple of int
        The seeds that every size has.
    accuracies : ndarray of float64, shape (n_sizes, n_draws)
        Test accuracies, fractions.
    """

    dataset: str
    network: str
    weights: str
    method: str
    shots: tuple[int, ...]
    draws: tuple[int, ...]
    accuracies: NDArray[np.float64]


def few_shot_curves(results: Sequence[Result]) -> list[FewShotCurve]:
    """Return the few-shot curves among results: runs alike but for images a class, and draw.

    Parameters
    ----------
    results : sequence of Result
        Those that were not few-shot, or failed, are passed over; so are draws that some size lacks.

    Returns
    -------
    list of FewShotCurve
        In the order of the results.
    """
    grouped: dict[str, dict[int, dict[int, Result]]] = {}
    for result in results:
        if result.status == "ok" and "shots" in result.sample:
            by_size = grouped.setdefault(_key(result), {})
            by_size.setdefault(result.sample["shots"], {})[result.seed] = result
    curves = []
    for by_size in grouped.values():
        shots = sorted(by_size)
        draws = sorted(set.intersection(*(set(by_size[k]) for k in shots)))
        if not draws:
            continue
        first = by_size[shots[0]][draws[0]]
        values = [[by_size[k][seed].test_accuracy for seed in draws] for k in shots]
        curves.append(
            FewShotCurve(
                first.dataset, first.network, first.weights, method_name(first), tuple(shots),
                tuple(draws), np.array(values, dtype=np.float64),
            )
        )  # fmt: skip
    return curves


def labels_needed_table(
    results: Sequence[Result], target: float, *, confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Return how many images a class each method needs to reach an accuracy, plain for JSON.

    Parameters
    ----------
    results : sequence of Result
        As ``few_shot_curves`` takes them.
    target : float
        Test accuracy, a fraction.
    confidence : float
        Of the interval, see ``featbench.statistics.labels_needed``.

    Returns
    -------
    list of dict
        ``dataset``, ``network``, ``weights``, ``method``, ``shots``, ``draws`` (how many),
        ``mean_accuracies``, ``target``, ``count``, ``low``, ``high`` and ``at_most``; the fewest
        first, methods that do not reach it last.
    """
    rows = []
    for curve in few_shot_curves(results):
        found = labels_needed(curve.shots, curve.accuracies, target, confidence=confidence)
        rows.append({
            "dataset": curve.dataset, "network": curve.network, "weights": curve.weights,
            "method": curve.method, "shots": list(curve.shots), "draws": len(curve.draws),
            "mean_accuracies": curve.accuracies.mean(axis=1).tolist(), **vars(found),
        })  # fmt: skip
    return sorted(rows, key=lambda row: np.inf if row["count"] is None else row["count"])


def _key(result: Result) -> str:
    key = json.loads(method_key(result))
    return json.dumps({k: v for k, v in key.items() if k not in ("n_per_class", "sample")})
