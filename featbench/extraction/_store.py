"""The feature store: spaces named by their spec, rows addressed by image content.

Labels, splits, order, paths and data-set names are nowhere in it: none can make it wrong.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featbench.errors import DamagedCacheError, FeatbenchError
from featbench.extraction._shard import SUFFIX, Shard, read_shard
from featbench.extraction._spec import FeatureSpec
from featbench.files import write_whole
from featbench.progress import SILENT, Reporter

SHARD_ROWS = 4096
SHARD_BYTES = 64 * 2**20
SHARD_SECONDS = 5.0


@dataclass
class Found:
    """What the store holds of the rows asked for.

    Parameters
    ----------
    rows : ndarray of float32, shape (n, ...)
        In the order asked for; rows that are not there are undefined.
    present : ndarray of bool, shape (n,)
        Which rows are there.
    seconds : float
        What computing the present rows once took.
    """

    rows: NDArray[np.float32]
    present: NDArray[np.bool_]
    seconds: float


class FeatureSpace:
    """One folder of immutable shards: all rows of one ``FeatureSpec``.

    Parameters
    ----------
    cache : Path
        The cache's folder.
    spec : FeatureSpec
        What the rows are; its key names the folder.
    row_shape : tuple of int
        The shape of one row.
    reporter : Reporter
        Is told of shards set aside.
    """

    def __init__(
        self,
        cache: Path,
        spec: FeatureSpec,
        row_shape: tuple[int, ...],
        reporter: Reporter = SILENT,
    ) -> None:
        self.spec, self.row_shape = spec, row_shape
        self.folder = cache / spec.key
        self._reporter = reporter

    def find(self, images: Sequence[str], view: int = 0) -> Found:
        """Read the rows of these images that are there.

        Parameters
        ----------
        images : sequence of str
            The sha256 of each image's content, each once.
        view : int
            The view's number.
        """
        found = Found(
            np.empty((len(images), *self.row_shape), np.float32),
            np.zeros(len(images), dtype=bool),
            0.0,
        )
        wanted = np.array(images, dtype="S64")
        order = np.argsort(wanted)
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            shard = self._read(path)
            if shard is None or not len(wanted):
                continue
            place = np.searchsorted(wanted, shard.images, sorter=order).clip(max=len(wanted) - 1)
            asked = order[place]
            use = np.flatnonzero(
                (wanted[asked] == shard.images) & (shard.views == view) & ~found.present[asked]
            )
            found.rows[asked[use]] = shard.rows[use]
            found.present[asked[use]] = True
            found.seconds += shard.seconds * len(use) / max(1, len(shard.images))
        return found

    def _read(self, path: Path) -> Shard | None:
        try:
            return read_shard(path, self.row_shape)
        except DamagedCacheError as damage:
            aside = path.with_suffix(".damaged")
            path.rename(aside)
            self._reporter.say(f"{damage}; set aside as {aside.name}, its rows are computed again")
            return None

    def open_for_writing(self, engine: str) -> "ShardWriter":
        """Create the folder and its description where they are missing; return a writer.

        Parameters
        ----------
        engine : str
            What computes the rows, for people who read space.json.
        """
        described = self.folder / "space.json"
        text = json.dumps(
            {"spec": json.loads(self.spec.as_json()), "engine": engine}, sort_keys=True, indent=1
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not described.is_file():
                write_whole(described, text.encode())
        except OSError as error:
            raise FeatbenchError(
                f"{self.folder}: cannot be written ({error.strerror}); choose another --cache DIR"
            ) from error
        return ShardWriter(self)


@dataclass
class ShardWriter:
    """Collects rows and closes a shard after so many rows, bytes or seconds: a kill loses seconds.

    Parameters
    ----------
    space : FeatureSpace
        Where shards go.
    """

    space: FeatureSpace
    _images: list[str] = field(default_factory=list)
    _rows: list[NDArray[np.float32]] = field(default_factory=list)
    _begun: float = field(default_factory=time.perf_counter)

    def add(self, images: Sequence[str], rows: NDArray[np.float32]) -> None:
        """Take rows; write a shard when it is full or due."""
        self._images += images
        self._rows.append(rows)
        held = sum(part.nbytes for part in self._rows)
        due = time.perf_counter() - self._begun > SHARD_SECONDS
        if len(self._images) >= SHARD_ROWS or held >= SHARD_BYTES or due:
            self.close_shard()

    def close_shard(self) -> None:
        """Write what was collected, if anything; raises FeatbenchError when the disk refuses."""
        if self._images:
            now = time.perf_counter()
            shard = Shard(
                np.concatenate(self._rows),
                np.array(self._images, dtype="S64"),
                np.zeros(len(self._images), np.int32),
                now - self._begun,
            )
            try:
                shard.write(self.space.folder)
            except OSError as error:
                raise FeatbenchError(
                    f"{self.space.folder}: a shard of {shard.rows.nbytes >> 20} MiB cannot be "
                    f"written ({error.strerror}); free some space and run the same command again: "
                    "finished shards are kept"
                ) from error
            self._images, self._rows = [], []
        self._begun = time.perf_counter()
