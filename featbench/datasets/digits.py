"""``digits``: 1,797 handwritten digits, 8×8 grey, that install with scikit-learn."""

from pathlib import Path

import numpy as np

from featbench.datasets._dataset import Dataset, Split
from featbench.datasets._pictures import ArrayPicture
from featbench.datasets._registry import register_dataset


@register_dataset("digits")
def digits(name: str, root: Path) -> Dataset:
    """Build the data set from scikit-learn's bundled copy; its 0..16 becomes 0..255.

    Parameters
    ----------
    name : str
        The name it was asked for by.
    root : Path
        Unused: nothing is downloaded.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    pixels = np.round(bundled.images * (255 / 16)).astype(np.uint8)
    split = Split(
        ids=tuple(f"{i:04d}" for i in range(len(pixels))),
        labels=bundled.target.astype(np.int64),
        pictures=tuple(ArrayPicture(image) for image in pixels),
    )
    return Dataset(name, name, tuple(str(c) for c in bundled.target_names), {"train": split})
