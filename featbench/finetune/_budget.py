"""Whether the frozen part is run once and kept, or on every batch: bytes are counted first."""

import math
import shutil
from pathlib import Path

from featbench.datasets import Dataset
from featbench.extraction import spec_of
from featbench.machine import free_memory
from featbench.networks import FEATURES, PIXELS, Network
from featbench.progress import Reporter

CACHED, PLAIN, NONE = "cached", "plain", ""
"""Values at the cut are computed once; anew for every batch; nothing is frozen."""


def storage_at(at: str) -> str:
    """Return how values at a place are kept: features, which are few, in full."""
    return "float32" if at == FEATURES else "half"


def choose_prefix(
    dataset: Dataset,
    network: Network,
    at: str,
    *,
    budget: int | None,
    precision: str,
    cache: Path,
    reporter: Reporter,
    views: int = 0,
) -> str:
    """Say how many bytes the values at the cut take, and decide by that how they are had.

    Parameters
    ----------
    dataset : Dataset
        The images.
    network, at : Network, str
        The network, and where it is cut.
    budget : int, optional
        Bytes that values of all images may take; by default half of the free memory, of which no
        more may be missing in the store than half of the free disk space.
    precision : str
        Of the frozen part's forward.
    cache : Path
        The feature store.
    reporter : Reporter
        Is told.
    views : int
        So many rows are kept of each training image beside its own.

    Returns
    -------
    str
        ``cached`` within the budget; ``plain`` over it; empty where nothing is frozen.
    """
    if at == PIXELS:
        return NONE
    storage = storage_at(at)
    each = math.prod(network.shape_at(at)) * (2 if storage == "half" else 4)
    whole = each * (sum(map(len, dataset.splits.values())) + views * len(dataset.train))
    block = next((block.name for block in network.blocks if block.starts_at == at), at)
    size = f"activations at {block}: {in_words(each)} an image, {in_words(whole)} in all"
    size += f" (with {views} views of each training image)" if views else ""
    reason = f"activation_budget is {in_words(budget)}" if budget is not None else ""
    if budget is None:
        folder = cache / spec_of(network, at, precision=precision, storage=storage).key
        memory, disk = free_memory() // 2, _room(folder)
        budget = min(memory, disk)
        scarce, where = ("memory", "") if memory <= disk else ("disk space", f" at {cache}")
        reason = f"half of the free {scarce}{where} allows {in_words(budget)}"
    if whole <= budget:
        reporter.say(size)
        return CACHED
    reporter.say(
        f"{size}, but {reason}: the frozen part is run on every batch of every epoch, which is "
        "slower; a higher activation_budget keeps its values"
    )
    return PLAIN


def _room(folder: Path) -> int:
    """Return the bytes that a space holds already, and half of what its disk has left."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    held = sum(path.stat().st_size for path in folder.glob("*.h5"))
    return held + shutil.disk_usage(there).free // 2


def in_words(size: int) -> str:
    """Return a number of bytes as people say it: 18.8 KB, 41 MB."""
    value, unit = float(size), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 999.5:  # else it would be rounded to 1e+03
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}" if unit != "B" else f"{size} B"
