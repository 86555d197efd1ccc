"""The feature store: spaces named by their spec, rows addressed by image content.

Labels, splits, order, paths and data-set names are nowhere in it: none can make it wrong.
"""

import contextlib
import errno
import functools
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featbench.errors import DamagedCacheError, FeatbenchError
from featbench.extraction._half import DTYPES, Kept
from featbench.extraction._shard import SUFFIX, Shard, read_shard
from featbench.extraction._spec import FeatureSpec, key_of
from featbench.files import write_whole
from featbench.machine import ahead, cores
from featbench.progress import SILENT, Reporter

DESCRIPTION = "space.json"
SHARD_ROWS = 4096
SHARD_BYTES = 64 * 2**20
SHARD_SECONDS = 5.0
ROW_LIMIT = 2**28
"""No image has so many values in a row: a description that claims more is not believed."""


@dataclass
class Found:
    """What the store holds of the rows asked for.

    Parameters
    ----------
    rows : Kept or None
        Of shape (n, views), in the order asked for; rows that are not there are undefined. None
        when not asked for.
    present : ndarray of bool, shape (n, views)
        Which rows are there.
    seconds : float
        What computing the present rows once took.
    """

    rows: Kept | None
    present: NDArray[np.bool_]
    seconds: float


def _sealed(content: dict[str, Any]) -> bytes:
    """Return JSON that carries the sha256 of itself without it."""
    plain = json.dumps(content, sort_keys=True, indent=1).encode()
    sealed = {**content, "sha256": hashlib.sha256(plain).hexdigest()}
    return json.dumps(sealed, sort_keys=True, indent=1).encode()


def read_description(folder: Path) -> dict[str, Any]:
    """Return what a space's folder says of itself, or nothing where not every bit is as written.

    Parameters
    ----------
    folder : Path
        A space's folder; its name must be the key of the spec described.

    Returns
    -------
    dict
        ``spec``, ``row_shape``, ``engine`` and ``batch``; empty when missing or damaged.
    """
    try:
        content = (folder / DESCRIPTION).read_bytes()
        described: dict[str, Any] = json.loads(content)
        del described["sha256"]
        whole = content == _sealed(described) and key_of(described["spec"]) == folder.name
        sane = described["batch"] > 0 and 0 < math.prod(described["row_shape"]) <= ROW_LIMIT
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return described if whole and sane else {}


class FeatureSpace:
    """One folder of immutable shards: all rows of one ``FeatureSpec``.

    Parameters
    ----------
    cache : Path
        The cache's folder.
    spec : FeatureSpec
        What the rows are; its key names the folder.
    shape : callable
        Returns the shape of one row; asked where the space does not say it.
    reporter : Reporter
        Is told of shards set aside.
    """

    def __init__(
        self,
        cache: Path,
        spec: FeatureSpec,
        shape: Callable[[], tuple[int, ...]],
        reporter: Reporter = SILENT,
    ) -> None:
        self.spec, self._shape = spec, shape
        self.folder = cache / spec.key
        self._reporter = reporter

    @functools.cached_property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        described = read_description(self.folder)
        return tuple(described["row_shape"]) if described else self._shape()

    def find(self, images: Sequence[str], views: int = 1, *, rows: bool = True) -> Found:
        """Read the rows of these images that are there.

        Parameters
        ----------
        images : sequence of str
            The sha256 of each image's content, each once.
        views : int
            So many views of each.
        rows : bool
            False looks only which rows are there.
        """
        shape = (len(images), views)
        held = Kept.empty(shape, self.row_shape, self.spec.storage) if rows else None
        found = Found(held, np.zeros(shape, bool), 0.0)
        wanted = np.array(images, dtype="S64")
        order = np.argsort(wanted)
        for shard in self._shards(rows) if len(wanted) else ():
            place = np.searchsorted(wanted, shard.images, sorter=order).clip(max=len(wanted) - 1)
            asked, view = order[place], shard.views.clip(0, views - 1)
            fits = (wanted[asked] == shard.images) & (shard.views == view)
            use = np.flatnonzero(fits & ~found.present[asked, view])
            if found.rows is not None:
                found.rows[asked[use], view[use]] = shard.kept[use]
            found.present[asked[use], view[use]] = True
            found.seconds += shard.seconds * len(use) / max(1, len(shard.images))
        return found

    def _shards(self, with_rows: bool) -> Iterator[Shard]:
        """Yield every shard; where one was merged away meanwhile, look for what replaced it."""
        seen: set[Path] = set()
        while new := sorted(set(self.folder.glob(f"*{SUFFIX}")) - seen):
            seen |= set(new)
            read = functools.partial(self._read, with_rows=with_rows)
            shards = ahead(read, new, cores(), cores())
            yield from (shard for shard in shards if shard is not None)

    def _read(self, path: Path, with_rows: bool) -> Shard | None:
        try:
            return read_shard(path, self.row_shape, storage=self.spec.storage, with_rows=with_rows)
        except FileNotFoundError:  # compacted or pruned by another process: its rows are elsewhere
            return None
        except DamagedCacheError as damage:
            aside = path.with_suffix(".damaged")
            with contextlib.suppress(FileNotFoundError):  # another process was first
                path.rename(aside)
            self._reporter.say(f"{damage}; set aside as {aside.name}, its rows are computed again")
            return None

    def pin(self) -> tuple[str, int] | None:
        """Return the engine and batch that the space began with, if its description is whole."""
        described = read_description(self.folder)
        return (described["engine"], described["batch"]) if described else None

    def _description(self, engine: str, batch: int) -> bytes:
        spec, shape = json.loads(self.spec.as_json()), list(self.row_shape)
        return _sealed({"spec": spec, "row_shape": shape, "engine": engine, "batch": batch})

    def open_for_writing(self, engine: str, batch: int, begun: float) -> "ShardWriter":
        """Create the folder and its description where they are missing; return a writer.

        Parameters
        ----------
        engine, batch : str, int
            What computes the rows; noted in a new space, and kept for all its rows.
        begun : float
            When the work on the first rows began, by ``time.perf_counter``.

        Raises
        ------
        DamagedCacheError
            When the space's description is not of this network's rows.
        FeatbenchError
            When the folder cannot be written.
        """
        if self.row_shape != self._shape():  # never trusted where rows are to be written
            raise DamagedCacheError(
                f"{self.folder / DESCRIPTION}: says that rows have the shape {self.row_shape}, but "
                f"they have {self._shape()}; featbench cache prune --space {self.spec.key[:8]}"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.pin() is None:
                write_whole(self.folder / DESCRIPTION, self._description(engine, batch))
        except OSError as error:
            raise FeatbenchError(
                f"{self.folder}: cannot be written ({error.strerror}); choose another --cache DIR"
            ) from error
        return ShardWriter(self, batch, begun)


class ShardWriter:
    """Collects rows and closes a shard after so many rows, bytes or seconds: a kill loses seconds.

    Rows wait in one array made for them: kept one by one among the forwards' big, short-lived
    blocks, they would break the allocator's memory into ever more pieces.

    Parameters
    ----------
    space : FeatureSpace
        Where shards go.
    batch : int
        At most so many rows are added at once.
    begun : float
        When the work on the first rows began.
    """

    def __init__(self, space: FeatureSpace, batch: int, begun: float) -> None:
        self._space, self._begun = space, begun
        bytes_a_row = DTYPES[space.spec.storage].itemsize * math.prod(space.row_shape)
        most = max(batch, min(SHARD_ROWS, SHARD_BYTES // max(1, bytes_a_row)))
        self._rows = Kept.empty((most,), space.row_shape, space.spec.storage)
        self._keys: list[tuple[str, int]] = []

    def add(self, keys: Sequence[tuple[str, int]], rows: NDArray[np.float32]) -> Kept:
        """Take rows with their images and views; write a shard when it is full or due.

        Returns
        -------
        Kept
            The rows as they will be read: those just computed are no finer than stored ones.
        """
        kept = Kept.of(rows, self._space.spec.storage)
        if len(self._keys) + len(keys) > len(self._rows):
            self.close_shard()
        self._rows[len(self._keys) : len(self._keys) + len(keys)] = kept
        self._keys += keys
        due = time.perf_counter() - self._begun > SHARD_SECONDS
        if due or len(self._keys) == len(self._rows):
            self.close_shard()
        return kept

    def close_shard(self) -> None:
        """Write what was collected, if anything; raises FeatbenchError when the disk refuses."""
        if self._keys:
            shard = Shard.of(
                self._rows[: len(self._keys)],
                np.array([image for image, _ in self._keys], dtype="S64"),
                np.array([view for _, view in self._keys], dtype=np.int32),
                time.perf_counter() - self._begun,
            )
            self._keys = []
            try:
                shard.write(self._space.folder)
            except OSError as error:
                folder = self._space.folder
                if not folder.is_dir():
                    raise FeatbenchError(
                        f"{folder}: was removed while rows were written to it; run the same "
                        "command again"
                    ) from error
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                raise FeatbenchError(
                    f"{folder}: a shard of {shard.rows.nbytes >> 20} MiB cannot be written "
                    f"({error.strerror}); {'free some space' if full else 'mend that'} and run "
                    "the same command again: finished shards are kept"
                ) from error
        self._begun = time.perf_counter()
