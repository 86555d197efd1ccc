"""Heads beside scikit-learn's: seconds, ratio, agreement, and the memory that each took.

    python benchmarks/speed/heads.py --data grocery-41.zip

(a) fit and score one SVM on synthetic features as a network's last ReLU gives them: 8,144 rows to
fit on and 8,041 to score, 2,048 columns, 196 classes; (b) four kernels × four C × five folds on a
data set's frozen features, beside GridSearchCV over SVC; (c) logistic regression over eight C, see
logreg.py; (d) the peak memory of each, in processes of their own. The peer and we take turns in one
run; medians of several repeats.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import featbench as fb
from featbench.heads import KernelSVC, tune
from featbench.machine import cores

Data = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]
KERNELS = ("linear", "poly", "rbf", "sigmoid")
CS = (0.01, 0.1, 1.0, 10.0)


def features(n_train: int, n_test: int, columns: int, classes: int) -> Data:
    """Return standardised synthetic features and labels, for training and for testing."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, columns))
    labels = np.arange(n_train + n_test) % classes
    rows = np.maximum(centres[labels] * 0.35 + rng.normal(size=(len(labels), columns)), 0)
    scaler = StandardScaler().fit(rows[:n_train])
    X = scaler.transform(rows).astype(np.float32)
    return X[:n_train], labels[:n_train], X[n_train:], labels[n_train:]


def frozen_features(source: str, network: str, cache: str | None) -> tuple[Any, Any]:
    """Return standardised frozen features and labels of train and val."""
    with tempfile.TemporaryDirectory() as fresh:
        found = fb.extract(fb.load_dataset(source), network, cache=cache or fresh)
    parts = [found.splits[name] for name in ("train", "val") if name in found.splits]
    X = StandardScaler().fit_transform(np.concatenate([part.X for part in parts]))
    return X, np.concatenate([part.y for part in parts])


def fit_and_score(make: Callable[..., Any], kernel: str, data: Data) -> NDArray[Any]:
    """Fit one machine and return the labels it gives."""
    X, y, X_test, _ = data
    coef0 = 1.0 if kernel == "poly" else 0.0
    labels: NDArray[Any] = make(kernel=kernel, coef0=coef0).fit(X, y).predict(X_test)
    return labels


class Bare:
    """A KernelSVC as ``tune`` takes heads, with no preprocessing: the rows are standardised."""

    preprocess = "none"

    def __init__(self, core: KernelSVC) -> None:
        self._own = core
        self._head = fb.create_head("svm-linear", preprocess="none")

    def __getattr__(self, name: str) -> Any:
        return (lambda *_: self._own) if name == "_core_for" else getattr(self._head, name)


def search_ours(X: Any, y: Any, folds: Any) -> NDArray[np.float64]:
    """Return mean accuracies, kernel by kernel, C by C."""
    heads = [Bare(KernelSVC(C=C, kernel=kernel, coef0=1.0)) for kernel in KERNELS for C in CS]
    return np.array([one.accuracy for one in tune(heads, X, y, folds)])  # type: ignore[arg-type]


def search_theirs(X: Any, y: Any, folds: Any, jobs: int = 1) -> NDArray[np.float64]:
    """Return the same from GridSearchCV over SVC."""
    grid = {"kernel": list(KERNELS), "C": list(CS)}
    search = GridSearchCV(SVC(coef0=1.0), grid, cv=folds, refit=False, n_jobs=jobs).fit(X, y)
    found = search.cv_results_
    order = {(p["kernel"], p["C"]): i for i, p in enumerate(found["params"])}
    return np.array([found["mean_test_score"][order[k, C]] for k in KERNELS for C in CS])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that work took, and what it gave."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> Any:
    """Return median seconds of each, and what the first of each gave."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(repeats)]
    mine, peer = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
    return mine, peer, pairs[0][0][1], pairs[0][1][1]


def memory_of(work: Callable[[], Any]) -> float:
    """Return the MiB that work added to the peak of a process of its own."""

    def measure(answer: Any) -> None:
        rows = np.random.default_rng(0).normal(size=(90, 8)).astype(np.float32)
        for make in (KernelSVC, SVC):  # what libraries load for the first time is not counted
            fit_and_score(make, "poly", (rows, np.arange(90) % 3, rows, np.arange(90)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work()
        answer.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=measure, args=(there,))
    process.start()
    process.join()
    return float(here.recv()) / 1024


def _beside(mine: float, peer: float, name: str) -> str:
    return f"ours {mine:7.2f} s   {name} {peer:7.2f} s   ratio {peer / mine:5.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=("a", "b", "d"))
    parser.add_argument("--rows", type=int, nargs=2, default=(8144, 8041))
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=196)
    parser.add_argument("--kernel", action="append", choices=KERNELS, help="for (a)")
    parser.add_argument("--data", help="for (b): what featbench extract --data takes")
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--cache", help="keeps the features for (b)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    parts = options.part or ["d", "a", *(["b"] if options.data else [])]
    kernels = options.kernel or ["poly"]
    if {"a", "d"} & set(parts):
        data = features(*options.rows, options.columns, options.classes)
        n, m = options.rows
        size = f"{n:,} + {m:,} rows × {options.columns:,}, {options.classes} classes"
    if "d" in parts:  # first: threads do not survive a fork
        gram, rows = 4 * n**2 / 2**20, 4 * (n + m) * options.columns / 2**20
        print(f"(d) {size}: Gram matrix {gram:.0f} MiB in single precision, data {rows:.0f} MiB")
        for kernel in kernels:
            mine, peer = (
                memory_of(lambda make=make, k=kernel: fit_and_score(make, k, data))  # type: ignore[misc]
                for make in (KernelSVC, SVC)
            )
            print(f"    {kernel:8} ours {mine:6.0f} MiB more than the data   SVC {peer:6.0f} MiB   "
                  f"ours / Gram {mine / gram:.2f}", flush=True)  # fmt: skip
    if "a" in parts:
        print(f"(a) {size}")
        for kernel in kernels:
            mine, peer, own, theirs = in_turns(
                lambda k=kernel: fit_and_score(KernelSVC, k, data),  # type: ignore[misc]
                lambda k=kernel: fit_and_score(SVC, k, data),  # type: ignore[misc]
                options.repeats,
            )
            equal, right = np.mean(own == theirs), np.mean(own == data[3])
            print(f"    {kernel:8} {_beside(mine, peer, 'SVC')}   equal labels {equal:.2%}   "
                  f"accuracy {right:.1%}", flush=True)  # fmt: skip
    if "b" in parts:
        X, y = frozen_features(options.data, options.network, options.cache)
        folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X, y))
        print(f"(b) {len(X):,} rows × {X.shape[1]:,}, {len(np.unique(y))} classes, "
              f"{len(KERNELS)} kernels × {len(CS)} C × 5 folds")  # fmt: skip
        mine, peer, own, theirs = in_turns(
            lambda: search_ours(X, y, folds), lambda: search_theirs(X, y, folds), options.repeats
        )
        wide, _ = timed(lambda: search_theirs(X, y, folds, cores()))
        print(f"    {_beside(mine, peer, 'GridSearchCV')}   (its n_jobs={cores()}: {wide:.2f} s, "
              f"ratio {wide / mine:.1f})   "
              f"largest difference of mean accuracies {abs(own - theirs).max():.5f}")  # fmt: skip


if __name__ == "__main__":
    main()
