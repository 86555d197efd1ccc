"""How many bytes may be held, and what that decides: counted before anything runs.

Whether the frozen part is run once and kept, or on every batch; whether decoded pictures are held,
or decoded for every batch.
"""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from featbench.datasets import Dataset, Split
from featbench.extraction import Decoder, Item, spec_of
from featbench.finetune._decoded import bytes_kept
from featbench.finetune._training_rows import Wanted
from featbench.machine import free_memory
from featbench.networks import FEATURES, PIXELS, Network, Preprocessing
from featbench.progress import Reporter

CACHED, PLAIN, NONE = "cached", "plain", ""
"""Values at the cut are computed once; anew for every batch; nothing is frozen."""
_LOOKED_AT = 16  # pictures that are decoded to know how large resized ones are


def storage_at(at: str) -> str:
    """Return how values at a place are kept: features, which are few, in full."""
    return "float32" if at == FEATURES else "half"


def pooling_at(network: Network, at: str) -> str:
    """Return the pooling that values at a place are kept under, of which none changes them.

    Features without positions have the name under which heads ask for them: the same rows.
    """
    return "avg" if at == FEATURES and len(network.shape_at(at)) == 1 else "none"


@dataclass(frozen=True)
class Budget:
    """How many bytes may be taken.

    Parameters
    ----------
    size : int
        So many.
    reason : str
        Why no more, to go after "but".
    """

    size: int
    reason: str

    @classmethod
    def of_memory(cls, asked: int | None, held: int = 0) -> "Budget":
        """Return what is asked for, or half of the memory that is free or ``held`` already."""
        if asked is not None:
            return cls(asked, f"activation_budget is {in_words(asked)}")
        size = (free_memory() + held) // 2
        return cls(size, f"half of the free memory allows {in_words(size)}")

    @classmethod
    def of_store(cls, asked: int | None, folder: Path, cache: Path) -> "Budget":
        """Return the same, of which no more may be missing in a space than half of its disk."""
        memory, disk = cls.of_memory(asked), _room(folder)
        if asked is not None or memory.size <= disk:
            return memory
        return cls(disk, f"half of the free disk space at {cache} allows {in_words(disk)}")


def _room(folder: Path) -> int:
    """Return the bytes that a space holds already, and half of what its disk has left."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    held = sum(path.stat().st_size for path in folder.glob("*.h5"))
    return held + shutil.disk_usage(there).free // 2


@dataclass(frozen=True)
class Activations:
    """The bytes of the values at a cut.

    Parameters
    ----------
    network, at : Network, str
        The network, and where it is cut.
    images : int
        So many rows there are of images as they are, and of their views.
    views : int
        Of which so many of each training image.
    """

    network: Network
    at: str
    images: int
    views: int

    @classmethod
    def of(cls, dataset: Dataset, network: Network, at: str, views: int) -> "Activations":
        """Count those of a data set's images, and of so many views of the training images."""
        images = sum(map(len, dataset.splits.values())) + views * len(dataset.train)
        return cls(network, at, images, views)

    @property
    def each(self) -> int:
        """Bytes of one row, in the store and, but for rare rows, in memory."""
        return math.prod(self.network.shape_at(self.at)) * (
            2 if storage_at(self.at) == "half" else 4
        )

    @property
    def whole(self) -> int:
        """Bytes of all rows."""
        return self.each * self.images

    def describe(self) -> str:
        """Return what they are and how many bytes, in words."""
        blocks = self.network.blocks
        block = next((one.name for one in blocks if one.starts_at == self.at), self.at)
        views = f" (with {self.views} views of each training image)" if self.views else ""
        size = f"{in_words(self.each)} an image, {in_words(self.whole)} in all"
        return f"activations at {block}: {size}{views}"


def choose_prefix(
    counted: Activations, *, budget: int | None, precision: str, cache: Path, reporter: Reporter
) -> str:
    """Say how many bytes the values at the cut take, and decide by that how they are had.

    Parameters
    ----------
    counted : Activations
        The values.
    budget : int, optional
        Bytes that they may take; by default half of the free memory, of which no more may be
        missing in the store than half of the free disk space.
    precision : str
        Of the frozen part's forward.
    cache : Path
        The feature store.
    reporter : Reporter
        Is told.

    Returns
    -------
    str
        ``cached`` within the budget; ``plain`` over it; empty where nothing is frozen.
    """
    network, at = counted.network, counted.at
    if at == PIXELS:
        return NONE
    spec = spec_of(
        network, at, pooling_at(network, at), precision=precision, storage=storage_at(at)
    )
    limit = Budget.of_store(budget, cache / spec.key, cache)
    if counted.whole <= limit.size:
        reporter.say(counted.describe())
        return CACHED
    reporter.say(f"{counted.describe()}, but {limit.reason}: {_EVERY_BATCH}")
    return PLAIN


_EVERY_BATCH = (
    "the frozen part is run on every batch of every epoch, which is slower; a higher "
    "activation_budget keeps its values"
)


def still_fits(counted: Activations, held: int, budget: int | None, reporter: Reporter) -> bool:
    """Say whether values at the cut are within the budget now that they are in memory.

    In the store a number that float16 cannot hold costs no more bits than another. But no 16 bits
    hold both kinds, so that a split with such a row is float32 in memory, which cannot be known
    before it was run.

    Parameters
    ----------
    counted : Activations
        As they were counted before.
    held : int
        The bytes that they take in memory.
    budget : int, optional
        As in ``choose_prefix``.
    reporter : Reporter
        Is told where they take more than was counted.
    """
    if held <= counted.whole:
        return True
    limit = Budget.of_memory(budget, held)
    news = (f"some activations are beyond what float16 holds: in memory they take {in_words(held)} "
            "in all")  # fmt: skip
    fits = held <= limit.size
    reporter.say(news if fits else f"{news}, but {limit.reason}: {_EVERY_BATCH}")
    return fits


def pixels_fit(
    dataset: Dataset, steps: Preprocessing, wanted: Wanted | None, *, refit: bool,
    budget: int | None, reporter: Reporter,
) -> bool:  # fmt: skip
    """Say how many bytes the decoded pictures take, and whether they can be held in memory.

    Parameters
    ----------
    dataset : Dataset
        The images.
    steps : Preprocessing
        The network's.
    wanted : Wanted, optional
        What training rows are to be: views are cut from larger pictures.
    refit : bool
        Whether val's images are training rows too in the end.
    budget : int, optional
        Bytes that pictures may take; by default half of the memory that is free, or holds
        pictures of earlier trainings.
    reporter : Reporter
        Is told.
    """
    counts = {name: len(split) for name, split in dataset.splits.items()}
    whole, about = math.prod(steps.shape) * sum(counts.values()), ""
    if wanted is not None and wanted.anything:
        viewed = counts["train"] + (counts.get("val", 0) if refit else 0)
        whole -= math.prod(steps.shape) * counts["train"]
        whole += round(_resized_bytes(dataset.train, steps) * viewed)
        about = "" if isinstance(steps.resize, tuple) else "about "
    limit = Budget.of_memory(budget, bytes_kept())
    size = f"decoded pictures: {about}{in_words(whole)} in memory"
    if whole <= limit.size:
        reporter.say(size)
        return True
    reporter.say(
        f"{size}, but {limit.reason}: they are decoded anew for every batch of every epoch, which "
        "is slower; a higher activation_budget holds them"
    )
    return False


def _resized_bytes(split: Split, steps: Preprocessing) -> float:
    """Return the mean bytes of a picture before the crop, from a few of them."""
    if isinstance(steps.resize, tuple):
        return math.prod(steps.resize) * steps.shape[0]
    places = range(0, len(split), -(-len(split) // _LOOKED_AT))
    items = [Item(split.digests[i], split.pictures[i]) for i in places]
    sizes = [picture.nbytes for _, picture in Decoder(steps).resized(items)]
    return sum(sizes) / len(sizes) if sizes else math.prod(steps.shape)


def in_words(size: int) -> str:
    """Return a number of bytes as people say it: 18.8 KB, 41 MB."""
    value, unit = float(size), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 999.5:  # else it would be rounded to 1e+03
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}" if unit != "B" else f"{size} B"
