"""How many labels of KernelSVC equal SVC's on a data set's frozen features.

    python benchmarks/svc_labels.py --data grocery-41.zip

Four kernels × three C × two class weights, on raw and on standardised features; fitted on train and
val, asked about test.
"""

import argparse
import itertools
import tempfile

import numpy as np
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import featbench as fb
from featbench.heads import KernelSVC

KERNELS = ("linear", "poly", "rbf", "sigmoid")
CS = (0.01, 1.0, 100.0)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="what featbench extract --data takes")
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--cache", help="keeps the features")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        found = fb.extract(
            fb.load_dataset(options.data), options.network, cache=options.cache or fresh
        )
    parts = [found.splits[name] for name in ("train", "val") if name in found.splits]
    raw, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("X", "y"))
    scaler = StandardScaler().fit(raw)
    test = found.test.X
    versions = {
        "raw": (raw, test),
        "standardised": (scaler.transform(raw), scaler.transform(test)),
    }
    total = different = 0
    for (name, (X, X_test)), kernel in itertools.product(versions.items(), KERNELS):
        for C, weight in itertools.product(CS, (None, "balanced")):
            settings = {"kernel": kernel, "C": C, "class_weight": weight}
            ours, theirs = KernelSVC(**settings).fit(X, y), SVC(**settings).fit(X, y)
            unequal = int((ours.predict(X_test) != theirs.predict(X_test)).sum())
            total, different = total + len(X_test), different + unequal
            if unequal:
                print(f"{name} {settings}: {unequal} of {len(X_test)} labels differ")
        print(f"{name:12} {kernel:8} compared", flush=True)
    print(f"{total - different:,} of {total:,} labels are equal")


if __name__ == "__main__":
    main()
