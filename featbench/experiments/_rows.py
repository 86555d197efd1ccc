"""What a head is fitted on and measured by, wherever its rows come from."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from featbench.datasets import Dataset
from featbench.experiments._feature_table import FeatureTable
from featbench.extraction import Features, FeatureSplit
from featbench.networks import FEATURES, Network, weight_count


@dataclass(frozen=True)
class Rows:
    """Rows by split, and the Result fields that were settled before any head saw them.

    Parameters
    ----------
    dataset : Dataset
        Ids and labels of each split, aligned with the rows; the classes.
    parts : dict of str to FeatureSplit
        The rows themselves; as the data set's splits.
    backbone_parameters : int or None
        Of the network that made them, without its classifier; None where it is not known.
    costs : dict
        What making them took, under the names that ``Result`` gives it.
    skipped : tuple of (str, str)
        Id and reason of each item left out.
    """

    dataset: Dataset
    parts: dict[str, FeatureSplit]
    backbone_parameters: int | None = None
    costs: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_network(cls, features: Features, network: Network) -> "Rows":
        """Return the rows that a frozen network gave."""
        classifier = (
            network.module.get_submodule(network.classifier) if network.classifier else None
        )
        costs = {
            "extract_seconds": features.seconds,
            "extract_seconds_cold": features.seconds_cold,
            "rows_computed": features.rows_computed,
            "rows_cached": features.rows_cached,
            "engine": features.engine,
        }
        backbone = weight_count(network.module) - (weight_count(classifier) if classifier else 0)
        if features.spec.layer != FEATURES:
            backbone = weight_count(network.taps([features.spec.layer]))
        return cls(features.dataset, features.splits, backbone, costs, features.skipped)

    @classmethod
    def of_table(cls, table: FeatureTable) -> "Rows":
        """Return the rows of a file: they cost nothing here."""
        return cls(table, table.parts())

    def of_images(self, dataset: Dataset) -> "Rows":
        """Return the rows of a data set that has some of these images, in its splits.

        Parameters
        ----------
        dataset : Dataset
            Of it, images without rows are left out, as they could not be decoded.
        """
        place = {name: (side, i) for side, part in self.parts.items()
                 for i, name in enumerate(part.ids)}  # fmt: skip
        parts, splits = {}, {}
        for name, split in dataset.splits.items():
            here = [i for i, image in enumerate(split.ids) if image in place]
            splits[name] = split.take(here)
            whole = self.parts.get(name)
            if whole is not None and whole.ids == splits[name].ids:
                parts[name] = whole  # test: nothing is copied
                continue
            rows = [self.parts[side].X[i] for side, i in map(place.__getitem__, splits[name].ids)]
            parts[name] = FeatureSplit(
                np.stack(rows) if rows else self.train.X[:0],
                splits[name].labels,
                splits[name].ids,
                splits[name].groups,
            )
        return replace(self, dataset=self.dataset.with_splits(splits), parts=parts)

    @property
    def rows_seen(self) -> int:
        """How many rows the costs are of; 0 for a file's."""
        return int(self.costs.get("rows_computed", 0) + self.costs.get("rows_cached", 0))

    @property
    def train(self) -> FeatureSplit:
        """The training split's rows."""
        return self.parts["train"]
