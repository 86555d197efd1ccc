"""``extract``: the rows of a data set, computed only where the store has none."""

import functools
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from featbench.augmentation import NO_AUGMENTATION, Augmentation
from featbench.datasets import GIVEN, Dataset, Picture, use_index
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction._device import choose_device
from featbench.extraction._features import Features, FeatureSplit
from featbench.extraction._half import FLOAT32, Kept
from featbench.extraction._pipeline import Decoder, Item, Pixels, batches
from featbench.extraction._pooling import pooling_for, row_shape
from featbench.extraction._skipped import record_skipped
from featbench.extraction._spec import spec_of
from featbench.extraction._store import FeatureSpace, Found
from featbench.extraction._tuning import Running, Task, start_engine
from featbench.networks import FEATURES, Network, create_network
from featbench.progress import SILENT, Reporter

_BURST = 256


def extract(
    dataset: Dataset, network: Network | str, *, layer: str = FEATURES, **options: Any
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
    **options
        As in ``extract_layers``.

    Returns
    -------
    Features

    Raises
    ------
    FeatbenchError
        As ``extract_layers``.
    """
    return extract_layers(dataset, network, [layer], **options)[layer]


def extract_layers(
    dataset: Dataset,
    network: Network | str,
    layers: Sequence[str],
    *,
    pooling: str | Mapping[str, str] | None = None,
    views: int = 1,
    augment: str = NO_AUGMENTATION,
    view_seed: int = 0,
    precision: str = "float32",
    storage: str | Mapping[str, str] = FLOAT32,
    engine: str | None = None,
    batch: int | None = None,
    device: str = "auto",
    cache: str | Path = "cache",
    strict: bool = False,
    rows: bool = True,
    reporter: Reporter = SILENT,
) -> dict[str, Features]:
    """Run a frozen network once over a data set, and keep the rows of several layers.

    Parameters
    ----------
    dataset : Dataset
        The images.
    network : Network or str
        The frozen network, or the name of one (with its default weights).
    layers : sequence of str
        Of the network's ``layers``; one forward serves them all.
    pooling : str or mapping, optional
        ``none``, ``avg``, ``max``, ``cls`` or ``flat``, for all layers or by layer; by default
        ``features`` are averaged over positions, where there are any, and other layers kept as
        they are.
    views : int
        So many augmented views of each image.
    augment : str
        What a view is: ``random-crop+flip+rotate:15``, as in ``Augmentation``; or ``none``.
    view_seed : int
        Another seed gives other views.
    precision : str
        ``float32``, or ``bfloat16`` for speed.
    storage : str or mapping
        How rows are kept, for all layers or by layer: ``float32``; or ``half``: float16, and
        bfloat16 for a row with a number that float16 cannot hold. Rows just computed are rounded as
        stored ones.
    engine : str, optional
        How to run it; by default the one its space began with, else the fastest that agrees.
    batch : int, optional
        Images a forward; changes no row's identity.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    cache : path
        The store's folder.
    strict : bool
        Raise on the first image that cannot be decoded, where else it is skipped and reported.
    rows : bool
        False leaves the rows in the store: ``splits`` is empty, and the memory needed does not grow
        with the number of images.
    reporter : Reporter
        Is told of progress.

    Returns
    -------
    dict of str to Features
        By layer.

    Raises
    ------
    UsageError
        For an option that cannot be.
    FeatbenchError
        When the cache cannot be written, no image can be decoded, or, with ``strict``, one cannot.
    """
    if isinstance(network, str):
        network = create_network(network)
    if views < 1 or (views > 1 and augment == NO_AUGMENTATION):
        raise UsageError(f"--views {views}: expected 1, or more with --augment RECIPE")
    began = time.perf_counter()
    augmentation = Augmentation(augment, view_seed)
    augmentation.check(network.preprocessing)
    names = list(dict.fromkeys(layers))
    for layer in names:
        if layer != FEATURES:
            network.shape_at(layer)  # a place that there is not is told before any work
    poolings = [pooling_for(layer, _of_layer(pooling, layer)) for layer in names]
    task = Task(network, names, poolings, precision, choose_device(device), batch)
    use_index(dataset, cache)
    pictures = _by_content(dataset)
    work = _Work(task, pictures, views, Decoder(network.preprocessing, augmentation), reporter)
    for layer, how in zip(names, poolings, strict=True):
        spec = spec_of(
            network,
            layer,
            how,
            precision=precision,
            view=augmentation.identity,
            view_seed=view_seed if augmentation else 0,
            storage=_of_layer(storage, layer) or FLOAT32,
        )
        shape = functools.partial(row_shape, network, layer, how)
        work.open(FeatureSpace(Path(cache), spec, shape, reporter), rows)
    missing = work.missing
    computing = work.compute(engine, Path(cache)) if missing else [0.0] * len(names)
    kept, skipped = _without(dataset, work.decoder.broken)
    if {"test", GIVEN} & kept.splits.keys():  # else it is a part of data whose list there is
        record_skipped(Path(cache), dataset.source, skipped)
    _check_kept(kept, skipped, strict)
    features = Features(
        dataset=kept,
        spec=work.spaces[0].spec,
        splits={},
        rows_computed=sum(
            len(item.views) for item in missing if item.content not in work.decoder.broken
        ),
        rows_cached=views * len(pictures) - sum(len(item.views) for item in missing),
        seconds=time.perf_counter() - began,
        seconds_cold=0.0,
        skipped=skipped,
        weights=network.weights,
    )
    return {
        layer: replace(
            features,
            spec=space.spec,
            splits=_splits(kept, held.rows, work.place) if held.rows is not None else {},
            row_shape=space.row_shape if views == 1 else (views, *space.row_shape),
            seconds_cold=held.seconds + spent,
            engine=(space.pin() or ("", 0))[0],
        )
        for layer, space, held, spent in zip(names, work.spaces, work.held, computing, strict=True)
    }


def _of_layer(given: str | Mapping[str, str] | None, layer: str) -> str | None:
    """Return what is asked of one layer; None where nothing is."""
    return given.get(layer) if isinstance(given, Mapping) else given


class _Work:
    """What is there already, what is missing, and how to compute it."""

    def __init__(
        self,
        task: Task,
        pictures: dict[str, Picture],
        views: int,
        decoder: Decoder,
        reporter: Reporter,
    ) -> None:
        self._task, self._pictures, self._views = task, pictures, views
        self._reporter = reporter
        self.decoder = decoder
        self.place = {content: i for i, content in enumerate(pictures)}
        self.spaces: list[FeatureSpace] = []
        self.held: list[Found] = []

    def open(self, space: FeatureSpace, rows: bool) -> None:
        """Add a layer's space, and read what it holds."""
        self.spaces.append(space)
        self.held.append(space.find(list(self._pictures), self._views, rows=rows))

    @property
    def missing(self) -> list[Item]:
        """The pictures of which a view is missing in any space."""
        absent = ~np.logical_and.reduce([held.present for held in self.held])
        return [
            Item(content, self._pictures[content], tuple(map(int, np.flatnonzero(absent[i]))))
            for content, i in self.place.items()
            if absent[i].any()
        ]

    def compute(self, asked: str | None, cache: Path) -> list[float]:
        """Fill in and store the missing rows; return the seconds of each layer's pass."""
        seconds = [0.0] * len(self.spaces)
        by_pin: dict[tuple[str, int] | None, list[int]] = defaultdict(list)
        for number, space in enumerate(self.spaces):
            by_pin[space.pin()].append(number)
        for pinned, together in by_pin.items():  # one, unless layers began with different engines
            for numbers, items in self._lacking(together).items():
                began = time.perf_counter()
                part = _Work(
                    replace(
                        self._task,
                        layers=[self._task.layers[i] for i in numbers],
                        poolings=[self._task.poolings[i] for i in numbers],
                    ),
                    self._pictures,
                    self._views,
                    self.decoder,
                    self._reporter,
                )
                part.spaces = [self.spaces[i] for i in numbers]
                part.held = [self.held[i] for i in numbers]
                part.run(items, pinned, asked, cache)
                for number in numbers:
                    seconds[number] += time.perf_counter() - began
        return seconds

    def _lacking(self, numbers: list[int]) -> dict[tuple[int, ...], list[Item]]:
        """Return the pictures by the layers that lack rows of them: none is stored twice."""
        absent = np.stack([~self.held[number].present for number in numbers])
        lacking: dict[tuple[int, ...], list[Item]] = defaultdict(list)
        for content, i in self.place.items():
            of = tuple(n for n, lack in zip(numbers, absent[:, i], strict=True) if lack.any())
            if of:
                views = tuple(map(int, np.flatnonzero(absent[:, i].any(axis=0))))
                lacking[of].append(Item(content, self._pictures[content], views))
        return lacking

    def run(
        self, items: list[Item], pinned: tuple[str, int] | None, asked: str | None, cache: Path
    ) -> None:
        """Run one engine over the items."""
        began = time.perf_counter()
        sample = self._sample(items)
        if sample is None:  # not one of them can be decoded
            return
        count = sum(len(item.views) for item in items)
        engine = start_engine(
            self._task,
            sample,
            count=count,
            pinned=pinned,
            asked=asked,
            cache=cache,
            reporter=self._reporter,
        )
        writers = [
            space.open_for_writing(engine.name, engine.batch, began) for space in self.spaces
        ]
        label = f"extract {self._task.network.name}"
        with self._reporter.bar(label, count) as bar:
            try:
                for keys, pixels in self._batches(items, engine):
                    for number, rows in enumerate(engine(pixels)):
                        kept = writers[number].add(keys, rows)
                        if (held := self.held[number].rows) is not None:
                            images = [self.place[content] for content, _ in keys]
                            held[images, [view for _, view in keys]] = kept
                    bar.advance(len(keys))
            finally:  # also on Ctrl-C: what was computed stays computed
                for writer in writers:
                    writer.close_shard()

    def _sample(self, items: list[Item]) -> Pixels | None:
        """Return pixels of the first pictures that can be decoded."""
        trial = Decoder(self._task.network.preprocessing)
        for _, pixels in batches(trial.in_turns(items[:64], 16), 16):
            return pixels
        for _, pixels in batches(self.decoder.in_turns(items, _BURST), 16):
            return pixels
        return None

    def _batches(self, items: list[Item], engine: Running) -> Any:
        if self._task.device.type == "cpu":
            decoded = self.decoder.in_turns(items, max(_BURST, engine.batch))
        else:
            decoded = self.decoder.ahead(items, 4 * engine.batch)
        return batches(decoded, engine.batch)


def _by_content(dataset: Dataset) -> dict[str, Picture]:
    """Map each different content's sha256 to one picture that has it."""
    return {
        digest: picture
        for split in dataset.splits.values()
        for digest, picture in zip(split.digests, split.pictures, strict=True)
    }


def _splits(dataset: Dataset, held: Kept, place: dict[str, int]) -> dict[str, FeatureSplit]:
    rows = held if held.wide.shape[1] > 1 else held[:, 0]
    return {
        name: FeatureSplit(
            rows[_as_slice([place[d] for d in split.digests])].numbers(),
            split.labels,
            split.ids,
            split.groups,
        )
        for name, split in dataset.splits.items()
    }


def _as_slice(places: list[int]) -> list[int] | slice:
    """Return a slice where places follow one another: its rows are not copied."""
    begin = places[0] if places else 0
    consecutive = places == list(range(begin, begin + len(places)))
    return slice(begin, begin + len(places)) if consecutive else places


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


def _check_kept(kept: Dataset, skipped: tuple[tuple[str, str], ...], strict: bool) -> None:
    if not skipped:
        return
    name, reason = skipped[0]
    if strict:
        raise FeatbenchError(
            f"{kept.source}: {name} cannot be decoded ({reason}); mend or remove it, or go without "
            "--strict to skip it"
        )
    if not any(len(split) for split in kept.splits.values()):
        raise UsageError(
            f"{kept.source}: not one of {len(skipped)} images can be decoded "
            f"(first: {name}: {reason})"
        )
