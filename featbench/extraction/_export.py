"""One plain HDF5 file for readers without featbench: X, y, id, split, and what they are."""

import json
from pathlib import Path

import h5py
import numpy as np

from featbench.errors import FeatbenchError
from featbench.extraction._features import Features
from featbench.files import write_whole


def export(features: Features, path: Path) -> None:
    """Write every split's rows to one file.

    Parameters
    ----------
    features : Features
        What to write.
    path : Path
        The .h5 file. It holds ``X`` (n, d) float32, ``y`` (n,) int64, ``id`` and ``split`` (n,)
        strings; its attributes are ``classes`` and ``spec`` (the feature space as JSON).

    Raises
    ------
    FeatbenchError
        When the file cannot be written.
    """
    parts = features.splits
    with h5py.File("export", "w", driver="core", backing_store=False) as file:
        file.attrs["spec"] = features.spec.as_json()
        file.attrs["dataset"] = features.dataset.name
        file.attrs["classes"] = json.dumps(features.dataset.classes)
        file["X"] = np.concatenate([part.X for part in parts.values()])
        file["y"] = np.concatenate([part.y for part in parts.values()])
        text = h5py.string_dtype()
        names = [name for part in parts.values() for name in part.ids]
        ids = [name.encode("utf-8", "surrogateescape") for name in names]
        sides = [side for side, part in parts.items() for _ in part.ids]
        file.create_dataset("id", data=ids, dtype=text)
        file.create_dataset("split", data=sides, dtype=text)
        file.flush()
        content = file.id.get_file_image()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise FeatbenchError(f"{path}: cannot be written ({error.strerror})") from error
