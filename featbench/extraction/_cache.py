"""Looking after the feature store: what is in it, is it whole, what can go, fewer files."""

import functools
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featbench.errors import DamagedCacheError, UsageError
from featbench.extraction._half import FLOAT32, Kept
from featbench.extraction._shard import SUFFIX, Shard, read_shard
from featbench.extraction._store import DESCRIPTION, SHARD_BYTES, SHARD_ROWS, read_description
from featbench.files import TEMPORARY, read_checked

_KEY_LENGTH = 64
_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class SpaceInfo:
    """One feature space as it lies on disk.

    Parameters
    ----------
    folder : Path
        Its folder; the name is the key.
    description : dict
        space.json; empty where that is missing or damaged.
    shards : tuple of Path
        Its shards.
    size : int
        Bytes of all its files.
    changed : float
        When its newest file was written, seconds since 1970.
    """

    folder: Path
    description: dict[str, Any]
    shards: tuple[Path, ...]
    size: int
    changed: float

    @property
    def key(self) -> str:
        """The space's key: 64 hex characters."""
        return self.folder.name

    @property
    def storage(self) -> str | None:
        """How its rows are kept; None where its description does not say."""
        spec = self.description.get("spec")
        return None if spec is None else spec.get("storage", FLOAT32)

    def describe(self) -> str:
        """Return what made it, on one line."""
        spec = self.description.get("spec", {})
        if not spec:
            return "(no description)"
        words = [spec["network"], f"weights {spec['weights_sha256'][:8]}", spec["layer"]]
        words += [spec[name] for name in ("pooling", "view") if spec[name] != "none"]
        if self.storage != FLOAT32:
            words.append(f"kept in {self.storage}")
        return " · ".join([*words, spec["precision"], str(self.description.get("engine", ""))])


def spaces(cache: Path) -> list[SpaceInfo]:
    """Return the feature spaces of a cache, the one written last first.

    Parameters
    ----------
    cache : Path
        The cache's folder.

    Raises
    ------
    UsageError
        When there is no such folder.
    """
    if not cache.is_dir():
        raise UsageError(f"{cache}: no such folder; featbench extract makes one")
    folders = [f for f in cache.iterdir() if f.is_dir() and len(f.name) == _KEY_LENGTH]
    return sorted((_space(folder) for folder in folders), key=lambda s: -s.changed)


def _space(folder: Path) -> SpaceInfo:
    files = [(path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
    shards = tuple(path for path, _ in files if path.suffix == SUFFIX)
    changed = max((stat.st_mtime for _, stat in files), default=folder.stat().st_mtime)
    size = sum(stat.st_size for _, stat in files)
    return SpaceInfo(folder, read_description(folder), shards, size, changed)


def find_space(cache: Path, prefix: str) -> SpaceInfo:
    """Return the one space whose key begins so.

    Parameters
    ----------
    cache : Path
        The cache's folder.
    prefix : str
        How the key begins.

    Raises
    ------
    UsageError
        When there is none, or more than one.
    """
    matching = [space for space in spaces(cache) if space.key.startswith(prefix)]
    if len(matching) != 1:
        count = "no space" if not matching else f"{len(matching)} spaces"
        raise UsageError(f"{cache}: {count} with a key that begins with {prefix!r}; "
                         "see featbench cache ls")  # fmt: skip
    return matching[0]


def verify(cache: Path) -> Iterator[str]:
    """Hash every shard anew and yield a line for everything that is not as it should be.

    Parameters
    ----------
    cache : Path
        The cache's folder.
    """
    for space in spaces(cache):
        if not space.description:
            yield f"{space.folder / DESCRIPTION}: is missing or does not describe this space"
        shapes = set()
        for path in space.shards:
            try:
                shapes.add(read_shard(path, storage=space.storage).rows.shape[1:])
            except DamagedCacheError as damage:
                yield str(damage)
        if len(shapes) > 1:
            yield f"{space.folder}: rows of different shapes: {', '.join(map(str, shapes))}"
        for path in space.folder.glob("*.damaged"):
            yield f"{path}: was set aside as damaged; featbench cache prune removes it"
    for path in [cache / "engines.json", *cache.glob("index/*.json")]:
        if path.exists() and read_checked(path) is None:
            yield f"{path}: is damaged; it is not read, and made anew when it is needed"


def prune(
    cache: Path, *, older_than_days: float | None = None, space: str | None = None
) -> tuple[int, int]:
    """Delete leftovers (damaged shards, temporary files an hour old), and whole spaces if asked.

    Parameters
    ----------
    cache : Path
        The cache's folder.
    older_than_days : float, optional
        Delete spaces in which nothing was written for so long.
    space : str, optional
        Delete the space whose key begins so.

    Returns
    -------
    files, bytes : int
        What was deleted.
    """
    now, files, size = time.time(), 0, 0
    gone = [find_space(cache, space)] if space is not None else []
    if older_than_days is not None:
        gone += [s for s in spaces(cache) if now - s.changed > older_than_days * 86400]
    for one in gone:
        files += sum(1 for _ in one.folder.iterdir())
        size += one.size
        shutil.rmtree(one.folder)
    leftovers = [*cache.glob(f"**/*{TEMPORARY}"), *cache.glob("*/*.damaged")]
    for path in leftovers:
        found = path.stat()
        if path.suffix != TEMPORARY or now - found.st_mtime > _ABANDONED_SECONDS:
            files, size = files + 1, size + found.st_size
            path.unlink()
    return files, size


def compact(cache: Path) -> tuple[int, int]:
    """Merge small shards, write-then-rename: at no moment is a row missing.

    Parameters
    ----------
    cache : Path
        The cache's folder.

    Returns
    -------
    before, after : int
        Numbers of shards.
    """
    before = after = 0
    for space in spaces(cache):
        read = functools.partial(read_shard, storage=space.storage)
        small = [(path, shard) for path in space.shards if _is_small(shard := read(path))]
        before += len(space.shards)
        after += len(space.shards)
        if len(small) < 2:
            continue
        written = {_merged(part).write(space.folder) for part in _parts([s for _, s in small])}
        old = {path for path, _ in small} - written
        for path in old:
            path.unlink()
        after += len(written) - len(small)
    return before, after


def _is_small(shard: Shard) -> bool:
    return len(shard.images) < SHARD_ROWS and shard.rows.nbytes < SHARD_BYTES / 2


def _parts(shards: list[Shard]) -> Iterator[list[Shard]]:
    """Divide shards into lists that are merged to one shard each."""
    part: list[Shard] = []
    size = 0
    for shard in shards:
        if part and size + shard.rows.nbytes > SHARD_BYTES:
            yield part
            part, size = [], 0
        part.append(shard)
        size += shard.rows.nbytes
    yield part


def _merged(shards: list[Shard]) -> Shard:
    """Return one shard with every row of these, a row that is there twice once."""
    images = np.concatenate([shard.images for shard in shards])
    views = np.concatenate([shard.views for shard in shards])
    _, first = np.unique(np.rec.fromarrays([images, views]), return_index=True)
    first.sort()
    rows = Kept.joined([shard.kept for shard in shards])
    return Shard.of(rows[first], images[first], views[first], sum(s.seconds for s in shards))
