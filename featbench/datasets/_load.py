"""``load_dataset``: one door for every source."""

import os
from pathlib import Path

from featbench.datasets._dataset import Dataset
from featbench.datasets._files import from_folder, from_zip
from featbench.datasets._registry import DATASETS
from featbench.datasets._source import Source
from featbench.datasets._splits import settle_splits
from featbench.datasets._tables import from_table
from featbench.errors import UsageError, did_you_mean


def data_root() -> Path:
    """Return the folder that holds downloaded data sets: $FEATBENCH_DATA, or one in ~/.cache."""
    return Path(os.environ.get("FEATBENCH_DATA") or Path.home() / ".cache/featbench/datasets")


def load_dataset(
    source: str | os.PathLike[str],
    *,
    limit: int | None = None,
    split_seed: int = 0,
    root: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Open a data set; no image is decoded before it is used.

    Parameters
    ----------
    source : str or path
        A name (``digits``, ``cifar10``, …: see ``featbench datasets``), a folder or .zip of class
        folders with or without split folders, or a .csv or .parquet table with the columns
        ``path``, ``label`` and perhaps ``split`` and ``group``. Options may follow:
        ``photos.zip:classes=cat,dog`` for some of the classes, ``digits:test=0.3`` to put its
        splits together and take about so many of the images for test.
    limit : int, optional
        Keep this many images of each class and split: those whose id hashes lowest.
    split_seed : int
        Decides which images are held out where the source has no split of its own.
    root : path, optional
        Where named data sets are kept; default ``data_root()``.

    Returns
    -------
    Dataset
        With a ``train`` and a ``test`` split.

    Raises
    ------
    UsageError
        When the source does not exist, or holds no images in at least two classes.
    FeatbenchError
        When a named data set is not on this machine and cannot be downloaded.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit is {limit}; expected at least 1 image a class")
    asked = Source.read(str(source))
    path, text = Path(asked.place).expanduser(), asked.place
    if text in DATASETS:
        dataset = DATASETS[text](text, Path(root) if root is not None else data_root())
    elif path.is_dir():
        dataset = from_folder(path)
    elif path.is_file() and path.suffix.lower() == ".zip":
        dataset = from_zip(path)
    elif path.is_file() and path.suffix.lower() in (".csv", ".parquet"):
        dataset = from_table(path)
    elif path.is_file():
        raise UsageError(f"{path}: expected a folder, a .zip, a .csv or a .parquet file")
    else:
        raise UsageError(
            f"{text}: no such folder, zip or table, and no data set of that name"
            f"{did_you_mean(text, [*DATASETS, *_beside(path)])}\n--data takes a folder or .zip of "
            f"class folders, a .csv table, or a name: {', '.join(DATASETS)}"
        )
    chosen = asked.choose(dataset)
    return settle_splits(chosen, split_seed=split_seed, limit=limit, test_share=asked.test)


def _beside(path: Path) -> list[str]:
    """Return what lies where a path looks, spelled as it was: what may have been meant."""
    try:
        names = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("."))
    except OSError:
        return []
    return [str(path.with_name(name)) for name in names]
