"""Logistic regression over a grid of C beside scikit-learn's: seconds, ratio, objectives.

    python benchmarks/speed/logreg.py
    python benchmarks/speed/logreg.py --features features.npz

Without --features: the synthetic features of heads.py, 8,144 rows, 2,048 columns, 196 classes. With
it: the rows of an extracted file that are not in the test split, standardised. Ours is
``softmax_path`` (our default tol); theirs LogisticRegression, lbfgs, its default tol, float32 rows,
each C fitted separately; and again with warm_start=True from the smallest C up. They take turns in
one run; medians of several repeats. Beside each C stand the objectives' excess over the lowest of
the three, in float64. Since scikit-learn stops early at its default tol, --equal also times it
once, with the loosest tol of 1e-4, 1e-5, … 1e-9 that brings its objective within 1e-4 of ours.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from heads import features
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from featbench.heads import softmax_path

Data = tuple[NDArray[np.float32], NDArray[np.int64]]
_ENOUGH = 20_000
"""Iterations that scikit-learn never needs here; a run that does need them warns."""


def extracted(path: Path) -> Data:
    """Return standardised rows of an extracted file, the test split left out, and labels."""
    with np.load(path) as file:
        kept = file["split"] != "test"
        X, y = file["X"][kept], file["y"][kept]
    X = StandardScaler().fit_transform(X).astype(np.float32)
    return X, np.unique(y, return_inverse=True)[1]


def objective(model: Any, C: float, data: Data) -> float:
    """Return C times the summed cross-entropy plus the penalty, in float64."""
    X, y = data
    coef, bias = (np.asarray(a, np.float64) for a in (model.coef_, model.intercept_))
    scores = X.astype(np.float64) @ coef.T + bias
    if len(coef) == 1:
        loss = np.logaddexp(0, np.where(y == 1, -scores[:, 0], scores[:, 0])).sum()
    else:
        scores -= scores[np.arange(len(y)), y][:, None]
        top = scores.max(axis=1, keepdims=True)
        loss = (np.log(np.exp(scores - top).sum(axis=1)) + top[:, 0]).sum()
    return float(C * loss + 0.5 * np.square(coef).sum())


def separately(Cs: list[float], data: Data) -> list[Any]:
    """Fit scikit-learn's for each C."""
    return [LogisticRegression(C=C, max_iter=_ENOUGH).fit(*data) for C in Cs]


def warm(Cs: list[float], data: Data) -> list[Any]:
    """Fit scikit-learn's for each C from the solution of the one before."""
    model, found = LogisticRegression(max_iter=_ENOUGH, warm_start=True), []
    for C in Cs:
        model.set_params(C=C).fit(*data)
        done = LogisticRegression()
        done.coef_, done.intercept_ = model.coef_.copy(), model.intercept_.copy()
        found.append(done)
    return found


def timed(work: Callable[[], list[Any]]) -> tuple[float, list[Any]]:
    """Return seconds and result."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def as_exact(Cs: list[float], goals: list[float], data: Data) -> None:
    """Print scikit-learn's seconds at the loosest tol that comes within 1e-4 of the goals."""
    total = 0.0
    for C, goal in zip(Cs, goals, strict=True):
        for tol in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9):
            began = time.perf_counter()
            model = LogisticRegression(C=C, tol=tol, max_iter=_ENOUGH).fit(*data)
            seconds = time.perf_counter() - began
            if objective(model, C, data) <= goal * (1 + 1e-4):
                break
        total += seconds
        print(f"  C {C:9.3g}   tol {tol:g}   {model.n_iter_[0]} iterations   {seconds:.2f} s",
              flush=True)  # fmt: skip
    print(f"LogisticRegression to an equal objective: {total:.2f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=Path)
    parser.add_argument("--grid", type=float, nargs=2, default=(1e-4, 1e1), metavar=("LOW", "HIGH"))
    parser.add_argument("--values", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--equal", action="store_true")
    options = parser.parse_args()
    data = extracted(options.features) if options.features else features(8144, 1, 2048, 196)[:2]
    Cs = [float(C) for C in np.geomspace(*options.grid, options.values)]
    rows, columns = data[0].shape
    print(f"{rows} rows × {columns}, {len(np.unique(data[1]))} classes, {len(Cs)} values of C")
    warnings.simplefilter("error", ConvergenceWarning)
    ways = {
        "ours": lambda: softmax_path(*data, Cs),
        "separate": lambda: separately(Cs, data),
        "warm": lambda: warm(Cs, data),
    }
    runs: dict[str, list[tuple[float, list[Any]]]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, work in ways.items():
            runs[name].append(timed(work))
    found = {
        name: [objective(m, C, data) for m, C in zip(done[0][1], Cs, strict=True)]
        for name, done in runs.items()
    }
    lowest = np.min(list(found.values()), axis=0)
    print("objective above the lowest of the three, relative")
    for i, C in enumerate(Cs):
        excess = "   ".join(f"{n} {v[i] / lowest[i] - 1:8.1e}" for n, v in found.items())
        print(f"  C {C:9.3g}   {excess}")
    mine, separate, warmed = (statistics.median(t for t, _ in runs[name]) for name in ways)
    print(f"ours {mine:.2f} s   LogisticRegression {separate:.2f} s, ratio {separate / mine:.1f}   "
          f"warm_start {warmed:.2f} s, ratio {warmed / mine:.1f}", flush=True)  # fmt: skip
    if options.equal:
        as_exact(Cs, found["ours"], data)


if __name__ == "__main__":
    main()
