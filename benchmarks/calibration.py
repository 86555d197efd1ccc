"""Calibration of heads: log-loss and ECE of rows held out, before and after.

    featbench extract --backbone efficientnet_lite0 --data photos.zip -o features.npz
    python benchmarks/calibration.py features.npz

Each head is fitted on the training rows with its default settings, and asked about the test rows.
"Before" is what stands for probabilities without calibration: the head's own, or the shares of
one-vs-one votes. Calibration trusts that new rows are like the training rows; with --mix training
and test rows are mixed and split anew, which shows what a shift between them costs.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from featbench.experiments._metrics import measure
from featbench.experiments._result import Predictions
from featbench.heads import HEADS, create_head

METHODS = ("temperature", "platt")
Data = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def rows_of(path: Path, mix: bool) -> Data:
    """Return training rows and labels, test rows and labels; labels count from 0."""
    with np.load(path) as stored:
        X, labels, split = stored["X"], stored["y"], stored["split"].astype(str)
    X = X.reshape(len(X), -1)
    y = np.unique(labels, return_inverse=True)[1]
    train, test = split == "train", split == "test"
    if mix:
        both = train | test
        apart = train_test_split(
            X[both], y[both], stratify=y[both], test_size=int(test.sum()), random_state=0
        )
        return apart[0], apart[2], apart[1], apart[3]
    return X[train], y[train], X[test], y[test]


def losses(name: str, settings: dict[str, Any], data: Data) -> dict[str, Any]:
    """Return the metrics of the test rows by method; ``before`` among the methods."""
    X, y, X_test, y_test = data
    found: dict[str, Any] = {}
    for method in METHODS:
        head = create_head(name, calibrate=method, **settings).fit(X, y)
        predicted = head.predict(X_test)
        for key, chances in (
            ("before", head.uncalibrated_proba(X_test)),
            (method, head.predict_proba(X_test)),
        ):
            found[key] = measure(
                Predictions([""] * len(y_test), y_test, predicted, chances), "test"
            )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path, help="a .npz file of featbench extract -o")
    parser.add_argument("--head", action="append", help="again for more; default: all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--mix", action="store_true", help="split training and test rows anew")
    options = parser.parse_args()
    settings = {k: json.loads(v) for k, v in (one.split("=", 1) for one in options.set)}
    data = rows_of(options.features, options.mix)
    print(f"{options.features.name}: {len(data[1])} training rows, {len(data[3])} test rows, "
          f"{len(np.unique(data[1]))} classes{', mixed' if options.mix else ''}")  # fmt: skip
    print(f"{'head':12} accuracy   log-loss: before  {'  '.join(METHODS)}   ECE: before  "
          f"{'  '.join(METHODS)}")  # fmt: skip
    for name in options.head or HEADS:
        found = losses(name, settings, data)
        loss, error = (
            [found[key][f"test_{metric}"] for key in ("before", *METHODS)]
            for metric in ("log_loss", "ece")
        )
        print(f"{name:12} {found['before']['test_accuracy']:8.1%} {loss[0]:18.4f} {loss[1]:12.4f} "
              f"{loss[2]:6.4f} {error[0]:13.3f} {error[1]:12.3f} {error[2]:6.3f}",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
