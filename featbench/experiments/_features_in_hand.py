"""The features that runs share: one pass over the images for every layer, written down in a log."""

import datetime
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from featbench.datasets import Dataset
from featbench.errors import FeatbenchError
from featbench.experiments._outcome import Conditions
from featbench.experiments._run import Run
from featbench.extraction import Features, extract_layers
from featbench.networks import Network

LOG = "extractions.jsonl"
"""The log's name among results: a line each time that features were got from the store."""


class FeaturesInHand:
    """Extracts features where the store has none; those asked for last are kept.

    Parameters
    ----------
    conditions : Conditions
        As the session has them.
    folder : Path
        Where the log is written.
    """

    def __init__(self, conditions: Conditions, folder: Path) -> None:
        self._conditions, self._folder = conditions, folder
        self._expected: dict[tuple[Any, ...], dict[str, None]] = {}
        self._key: tuple[Any, ...] = ()
        self._kept: dict[str, Features] = {}
        self._filled: set[tuple[Any, ...]] = set()

    def expect(self, runs: Iterable[Run]) -> None:
        """Know which layers will be asked for, so that one pass serves them all."""
        for run in runs:
            self._expected.setdefault(_origin(run), {})[run.layer] = None

    def of(self, run: Run, dataset: Dataset, network: Network) -> Features:
        """Return a run's frozen features.

        Parameters
        ----------
        run : Run
            Its layer and precision count.
        dataset : Dataset
            The images; perhaps with another division than the run's data set has.
        network : Network
            The run's.
        """
        splits = tuple(dataset.splits)
        key = (dataset.fingerprint, splits, *_made_by(network), run.precision)
        if self._key == key and run.layer in self._kept:
            hit = self._kept[run.layer]
            return replace(hit, seconds=0.0, rows_computed=0, rows_cached=hit.rows_total)
        self._kept = {}  # their memory is what the new ones take
        self._kept, self._key = self._extract(run, dataset, network, rows=True), key
        return self._kept[run.layer]

    def fill_store(self, run: Run, dataset: Dataset, network: Network) -> None:
        """As ``of``, but the rows stay in the store, and once for each network and precision."""
        key = (dataset.fingerprint, *_made_by(network), run.precision)
        if key not in self._filled:
            self._extract(run, dataset, network, rows=False)
            self._filled.add(key)

    def _extract(
        self, run: Run, dataset: Dataset, network: Network, *, rows: bool
    ) -> dict[str, Features]:
        layers = {run.layer: None, **self._expected.get(_origin(run), {})}
        found = extract_layers(
            dataset,
            network,
            list(layers),
            pooling="avg",
            precision=run.precision,
            cache=self._conditions.cache,
            device=self._conditions.device,
            strict=self._conditions.strict,
            rows=rows,
            reporter=self._conditions.reporter,
        )
        self._write_down(dataset, found)
        return found

    def _write_down(self, dataset: Dataset, found: dict[str, Features]) -> None:
        lines = [
            {
                "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
                "dataset": dataset.name,
                "network": features.spec.network,
                "weights": features.weights,
                "layer": layer,
                "space": features.spec.key,
                "rows_computed": features.rows_computed,
                "rows_cached": features.rows_cached,
                "seconds": round(features.seconds, 3),
            }
            for layer, features in found.items()
        ]
        first = next(iter(found.values()))
        self._conditions.reporter.say(
            f"{dataset.name} · {first.spec.network} ({first.weights}), {', '.join(found)}: "
            f"{first.describe()}"
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / LOG).open("a", encoding="utf-8") as log:
                log.write("".join(json.dumps(line) + "\n" for line in lines))
        except OSError as error:
            raise FeatbenchError(f"{self._folder / LOG}: cannot be written ({error.strerror}); "
                                 "choose another --results DIR") from error  # fmt: skip


def _made_by(network: Network) -> tuple[Any, ...]:
    """Return what an image's features hang on in a network: a run's may normalise otherwise."""
    return network.name, network.sha256, network.preprocessing


def _origin(run: Run) -> tuple[Any, ...]:
    """Return what tells the features of two runs apart, but for the layer."""
    data = (run.data, run.limit, run.split_seed)
    return (*data, run.network, run.weights, run.network_seed, run.precision)
