"""Runs of which there is no result yet: what an interrupted training left to go on from."""

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featbench.errors import UsageError
from featbench.experiments._result import ResultStore

CHECKPOINT = "checkpoint"
"""The folder of a run where its training is kept while it goes on."""


@dataclass(frozen=True)
class Unfinished:
    """A run whose training is under way, or was interrupted.

    Parameters
    ----------
    run_id : str
        Its name.
    size : int
        Bytes that are kept of it.
    changed : float
        When something was kept last, in seconds since 1970.
    """

    run_id: str
    size: int
    changed: float

    def describe(self) -> str:
        """Return one line for people."""
        when = datetime.datetime.fromtimestamp(self.changed, datetime.UTC).isoformat()[:19]
        return (f"{self.run_id}  {when}  training under way or interrupted, "
                f"{self.size / 2**20:.1f} MiB kept: the same command goes on with it")  # fmt: skip


def unfinished(store: ResultStore) -> list[Unfinished]:
    """Return the runs that have something to go on from and no result, oldest first.

    Parameters
    ----------
    store : ResultStore
        Where they are kept.
    """
    found = []
    for folder in store.folder.glob(f"*/{CHECKPOINT}"):
        stats = list(_stats(folder))
        if stats and not (folder.parent / "result.json").exists():
            size = sum(one.st_size for one in stats)
            found.append(Unfinished(folder.parent.name, size, max(one.st_mtime for one in stats)))
    return sorted(found, key=lambda one: (one.changed, one.run_id))


def _stats(folder: Path) -> Iterator[os.stat_result]:
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a training under way puts another in place
            if path.is_file():
                yield path.stat()


def remove_unfinished(store: ResultStore, prefix: str) -> Unfinished | None:
    """Delete what is kept of the one run without a result whose id begins so; return what it was.

    Parameters
    ----------
    store : ResultStore
        Where runs are kept.
    prefix : str
        How the id begins. Where a run with a result begins so too, or none does, nothing is done
        and None is returned.

    Raises
    ------
    UsageError
        When there is more than one.
    """
    matching = [one for one in unfinished(store) if one.run_id.startswith(prefix)]
    if not matching or any(result.run_id.startswith(prefix) for result in store.all()):
        return None
    if len(matching) > 1:
        raise UsageError(f"{store.folder}: {len(matching)} unfinished runs with an id that begins "
                         f"with {prefix!r}; see featbench results ls")  # fmt: skip
    store.discard(matching[0].run_id)
    return matching[0]
