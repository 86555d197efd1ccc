"""``extract``: the rows of a data set, computed only where the store has none."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import Dataset, Picture, use_index
from featbench.errors import FeatbenchError
from featbench.extraction._engine import (
    DEFAULT_BATCH,
    Engine,
    choose_device,
    pooling_for,
    row_shape,
)
from featbench.extraction._pictures import batches, decoded
from featbench.extraction._spec import FeatureSpec, spec_of
from featbench.extraction._store import FeatureSpace
from featbench.networks import FEATURES, Network, create_network
from featbench.progress import SILENT, Reporter


@dataclass(frozen=True)
class FeatureSplit:
    """The features of one split: ids, labels and rows in one order.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d) or (n, ...)
        One row an image.
    y : ndarray of int64, shape (n,)
        Labels, indices into the data set's classes.
    ids : tuple of str
        The images' ids.
    """

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    ids: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """What ``extract`` returns: each split's rows, and what they cost.

    Parameters
    ----------
    dataset : Dataset
        Without the images that could not be decoded.
    spec : FeatureSpec
        The feature space.
    splits : dict of str to FeatureSplit
        As the data set's.
    rows_computed, rows_cached : int
        How many different images were run now, and how many came from the store.
    seconds, seconds_cold : float
        Wall time spent now, and what it would have been without the cache.
    skipped : tuple of (str, str)
        Id and reason for every image that cannot be decoded.
    """

    dataset: Dataset
    spec: FeatureSpec
    splits: dict[str, FeatureSplit]
    rows_computed: int
    rows_cached: int
    seconds: float
    seconds_cold: float
    skipped: tuple[tuple[str, str], ...]

    def describe(self) -> str:
        """Return one line: what was computed, what was in the cache, how fast."""
        if not self.rows_computed:
            return f"nothing to compute, all {self.rows_cached:,} rows are in the cache"
        rate = self.rows_computed / max(self.seconds, 1e-9)
        return (
            f"{self.rows_computed:,} rows computed, {self.rows_cached:,} from the cache, in "
            f"{self.seconds:.1f} s ({rate:.0f} images/s)"
        )

    @property
    def train(self) -> FeatureSplit:
        """The training split's rows."""
        return self.splits["train"]

    @property
    def test(self) -> FeatureSplit:
        """The test split's rows."""
        return self.splits["test"]


def extract(
    dataset: Dataset,
    network: Network | str,
    *,
    layer: str = FEATURES,
    pooling: str | None = None,
    cache: str | Path = "cache",
    device: str = "auto",
    batch: int = DEFAULT_BATCH,
    strict: bool = False,
    reporter: Reporter = SILENT,
) -> Features:
    """Run what lies below a cut once over a data set, and keep the rows.

    Parameters
    ----------
    dataset : Dataset
        The images.
    network : Network or str
        The frozen network, or the name of one (with its default weights).
    layer : str
        Where to cut: ``features`` or another of the network's ``layers``.
    pooling : str, optional
        ``none``, ``avg`` or ``max``; by default ``features`` are averaged over positions, where
        there are any, and other layers kept as they are.
    cache : path
        The store's folder.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    batch : int
        Images a forward; changes no row's identity.
    strict : bool
        Raise on the first image that cannot be decoded, where else it is skipped and reported.
    reporter : Reporter
        Is told of progress.

    Returns
    -------
    Features

    Raises
    ------
    FeatbenchError
        When the cache cannot be written, or, with ``strict``, an image cannot be decoded.
    """
    if isinstance(network, str):
        network = create_network(network)
    began = time.perf_counter()
    use_index(dataset, cache)
    pooling = pooling or pooling_for(network, layer)
    spec = spec_of(network, layer, pooling)
    space = FeatureSpace(Path(cache), spec, row_shape(network, layer, pooling), reporter)
    pictures = _by_content(dataset)
    place = {digest: i for i, digest in enumerate(pictures)}
    held = space.find(list(pictures))
    missing = {digest: pictures[digest] for digest, i in place.items() if not held.present[i]}
    broken: dict[str, str] = {}
    started = time.perf_counter()
    if missing:
        engine = Engine(network, layer, pooling, choose_device(device), batch)
        broken = _compute(engine, space, missing, held.rows, place, reporter)
    computing = time.perf_counter() - started
    kept, skipped = _without(dataset, broken)
    if strict and skipped:
        name, reason = skipped[0]
        raise FeatbenchError(
            f"{dataset.source}: {name} cannot be decoded ({reason}); mend or "
            "remove it, or go without --strict to skip it"
        )
    splits = {
        name: FeatureSplit(held.rows[[place[d] for d in split.digests]], split.labels, split.ids)
        for name, split in kept.splits.items()
    }
    return Features(
        kept, spec, splits,
        rows_computed=len(missing) - len(broken),
        rows_cached=len(pictures) - len(missing),
        seconds=time.perf_counter() - began,
        seconds_cold=held.seconds + computing,
        skipped=skipped,
    )  # fmt: skip


def _by_content(dataset: Dataset) -> dict[str, Picture]:
    """Map each different content's sha256 to one picture that has it."""
    return {
        digest: picture
        for split in dataset.splits.values()
        for digest, picture in zip(split.digests, split.pictures, strict=True)
    }


def _compute(
    engine: Engine,
    space: FeatureSpace,
    missing: dict[str, Picture],
    rows: NDArray[np.float32],
    place: dict[str, int],
    reporter: Reporter,
) -> dict[str, str]:
    """Compute and store the missing rows, and fill them in; return why pictures are broken."""
    names, broken, done = list(missing), dict[int, str](), 0
    writer = space.open_for_writing(engine.name)
    with reporter.bar(f"extract {space.spec.network}", len(names)) as bar:
        try:
            stream = decoded(list(missing.values()), engine.preprocessing, ahead=4 * engine.batch)
            for numbers, pixels in batches(stream, engine.batch, broken):
                images = [names[i] for i in numbers]
                result = engine(pixels)
                writer.add(images, result)
                rows[[place[image] for image in images]] = result
                bar.advance(numbers[-1] + 1 - done)
                done = numbers[-1] + 1
            bar.advance(len(names) - done)
        finally:  # also on Ctrl-C: what was computed stays computed
            writer.close_shard()
    return {names[i]: reason for i, reason in broken.items()}


def _without(
    dataset: Dataset, broken: dict[str, str]
) -> tuple[Dataset, tuple[tuple[str, str], ...]]:
    """Return the data set without its broken images, and their ids with the reasons."""
    if not broken:
        return dataset, ()
    skipped = tuple(
        (name, broken[digest])
        for split in dataset.splits.values()
        for name, digest in zip(split.ids, split.digests, strict=True)
        if digest in broken
    )
    splits = {
        name: split.take([i for i, digest in enumerate(split.digests) if digest not in broken])
        for name, split in dataset.splits.items()
    }
    return dataset.with_splits(splits), skipped
