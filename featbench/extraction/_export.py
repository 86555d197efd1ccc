"""Plain files for readers without featbench: HDF5, .npz or Parquet, by the file's ending."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from featbench.errors import FeatbenchError, UsageError
from featbench.extraction._cache import SpaceInfo
from featbench.extraction._features import Features
from featbench.extraction._half import Kept
from featbench.extraction._shard import read_shard
from featbench.files import write_whole

Columns = Mapping[str, Any]


def check_export(path: Path) -> None:
    """Raise UsageError where no file can be written that ends so.

    Parameters
    ----------
    path : Path
        As in ``export``.
    """
    if path.suffix not in _WRITERS or path.is_dir():
        raise UsageError(f"-o {path}: expected a file that ends with {', '.join(_WRITERS)}")


def export(features: Features, path: Path) -> None:
    """Write every split's rows to one file.

    Parameters
    ----------
    features : Features
        What to write.
    path : Path
        A .h5, .npz or .parquet file. It holds ``X`` (n, d) float32, ``y`` (n,) int64, ``id`` and
        ``split`` (n,) text, ``group`` too where the data set has groups, and says what they are:
        ``classes``, ``dataset``, ``weights`` and ``spec``, the feature space as JSON.

    Raises
    ------
    UsageError
        For another ending.
    FeatbenchError
        When the file cannot be written.
    """
    parts = features.splits
    columns: dict[str, Any] = {
        "X": np.concatenate([part.X for part in parts.values()]),
        "y": np.concatenate([part.y for part in parts.values()]),
        "id": [name for part in parts.values() for name in part.ids],
        "split": [side for side, part in parts.items() for _ in part.ids],
    }
    if any(part.groups for part in parts.values()):
        columns["group"] = [g for part in parts.values() for g in part.groups or part.ids]
    about = {
        "spec": features.spec.as_json(),
        "weights": features.weights,
        "dataset": features.dataset.name,
        "classes": json.dumps(features.dataset.classes),
    }
    _write(path, columns, about)


def export_space(space: SpaceInfo, path: Path) -> int:
    """Write all rows of a space to one file, and return how many.

    Parameters
    ----------
    space : SpaceInfo
        Which.
    path : Path
        A .h5, .npz or .parquet file: ``X`` (float32; of a half space float16, but float32 where a
        row needs bfloat16), ``image`` (the sha256 of the content), ``view``.

    Raises
    ------
    FeatbenchError
        When a shard is damaged, the space is empty, or the file cannot be written.
    """
    shards = [read_shard(shard, storage=space.storage) for shard in space.shards]
    if not shards:
        raise FeatbenchError(f"{space.folder}: holds no rows")
    columns: Columns = {
        "X": Kept.joined([shard.kept for shard in shards]).numbers(),
        "image": [name.decode() for shard in shards for name in shard.images],
        "view": np.concatenate([shard.views for shard in shards]),
    }
    _write(path, columns, {"spec": json.dumps(space.description.get("spec", {}))})
    return len(columns["view"])


def _write(path: Path, columns: Columns, about: Mapping[str, str]) -> None:
    check_export(path)
    content = _WRITERS[path.suffix](columns, about)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise FeatbenchError(f"{path}: cannot be written ({error.strerror})") from error


def _as_hdf5(columns: Columns, about: Mapping[str, str]) -> bytes:
    with h5py.File("export", "w", driver="core", backing_store=False) as file:
        file.attrs.update(about)
        for name, values in columns.items():
            if isinstance(values, np.ndarray):
                file[name] = values
            else:
                text = [value.encode("utf-8", "surrogateescape") for value in values]
                file.create_dataset(name, data=text, dtype=h5py.string_dtype())
        file.flush()
        content: bytes = file.id.get_file_image()
        return content


def _as_npz(columns: Columns, about: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    arrays = {name: np.asarray(values) for name, values in {**columns, **about}.items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _as_parquet(columns: Columns, about: Mapping[str, str]) -> bytes:
    import pandas as pd

    rows = columns["X"].reshape(len(columns["X"]), -1)
    table = pd.DataFrame({n: v for n, v in columns.items() if n != "X"})
    table["X"] = list(rows)
    table.attrs.update(about)
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        raise FeatbenchError(
            "Parquet needs pyarrow; run: pip install 'featbench[parquet]'"
        ) from error
    return buffer.getvalue()


_WRITERS = {".h5": _as_hdf5, ".hdf5": _as_hdf5, ".npz": _as_npz, ".parquet": _as_parquet}
