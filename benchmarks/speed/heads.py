"""Heads beside scikit-learn's: seconds to fit and score, ratio, and how many labels are equal.

    python benchmarks/speed/heads.py

Synthetic features as a network's last ReLU gives them: 8,144 rows to fit on and 8,041 to score,
2,048 columns, 196 classes. The peer and we take turns in one run; medians of several repeats.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featbench.heads import KernelSVC

Data = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]


def features(n_train: int, n_test: int, columns: int, classes: int) -> Data:
    """Return standardised synthetic features and labels, for training and for testing."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(classes, columns))
    labels = np.arange(n_train + n_test) % classes
    rows = np.maximum(centres[labels] * 0.35 + rng.normal(size=(len(labels), columns)), 0)
    scaler = StandardScaler().fit(rows[:n_train])
    X = scaler.transform(rows).astype(np.float32)
    return X[:n_train], labels[:n_train], X[n_train:], labels[n_train:]


def timed(make: Callable[[], Any], data: Data) -> tuple[float, NDArray[Any]]:
    """Fit and predict once; return the seconds and the labels."""
    X, y, X_test, _ = data
    began = time.perf_counter()
    labels = make().fit(X, y).predict(X_test)
    return time.perf_counter() - began, labels


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs=2, default=(8144, 8041))
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--classes", type=int, default=196)
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    data = features(*options.rows, options.columns, options.classes)
    print(
        f"{options.rows[0]} + {options.rows[1]} rows × {options.columns}, {options.classes} classes"
    )
    for kernel in options.kernel or ["poly"]:
        settings = {"kernel": kernel, "coef0": 1.0} if kernel == "poly" else {"kernel": kernel}
        ours, theirs = [], []
        for _ in range(options.repeats):
            ours.append(timed(lambda s=settings: KernelSVC(**s), data))  # type: ignore[misc]
            theirs.append(timed(lambda s=settings: SVC(**s), data))  # type: ignore[misc]
        equal = float(np.mean(ours[0][1] == theirs[0][1]))
        right = float(np.mean(ours[0][1] == data[3]))
        mine, peer = (statistics.median(t for t, _ in runs) for runs in (ours, theirs))
        print(f"{kernel:8} ours {mine:7.2f} s   SVC {peer:7.2f} s   ratio {peer / mine:5.1f}   "
              f"equal labels {equal:.2%}   accuracy {right:.1%}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
