"""Values at a cut: of each image, and of views and copies of the training images, run once."""

from dataclasses import dataclass
from typing import Any

import torch

from featbench.augmentation import NO_AUGMENTATION
from featbench.datasets import Dataset
from featbench.errors import FeatbenchError
from featbench.extraction import Features, extract_layers
from featbench.finetune._budget import CACHED, pooling_at, storage_at
from featbench.finetune._inputs import Costs, Inputs, gone, together
from featbench.finetune._training_rows import KeptViews, Wanted
from featbench.networks import FEATURES, Network
from featbench.progress import Reporter


@dataclass(frozen=True)
class AtCut:
    """The values that a frozen part gives, by way of the feature store.

    Parameters
    ----------
    network, at : Network, str
        The network, and where it is cut.
    precision : str
        Of the frozen part's forward: ``float32`` or ``bfloat16``.
    cache, device, reporter
        As in ``extract``.
    """

    network: Network
    at: str
    precision: str
    cache: str
    device: str
    reporter: Reporter

    def load(
        self, dataset: Dataset, strict: bool, wanted: Wanted | None, with_features: bool = False
    ) -> Inputs:
        """Return the values of a data set's images.

        Parameters
        ----------
        dataset : Dataset
            The images.
        strict : bool
            As in ``extract``.
        wanted : Wanted, optional
            What training rows are to be; by default the images themselves.
        with_features : bool
            The same pass gives the store the network's features, as heads ask for them.
        """
        # values with positions and features averaged over them cannot both be asked of one layer
        also = with_features and (
            self.at != FEATURES or pooling_at(self.network, self.at) != "none"
        )
        layers = [self.at, FEATURES] if also else [self.at]
        found = self._run(dataset, layers, strict)
        own = found[self.at]
        tensors = {name: torch.from_numpy(part.X) for name, part in own.splits.items()}
        cold = max(one.seconds_cold for one in found.values())  # with nothing cached: one pass
        costs = {**_costs([own]), "extract_seconds_cold": cold, "engine": own.engine}
        training = None
        if wanted is not None:
            training, more = self.training_rows(own.dataset, tensors["train"], wanted)
            costs = together(costs, more)
        return Inputs(
            own.dataset,
            tensors,
            own.skipped,
            costs,
            own.seconds_cold / max(1, own.rows_total),
            CACHED,
            training,
            with_features=also,
            nbytes=_bytes_of([*tensors.values(), *(training.ways if training else ())]),
        )

    def training_rows(
        self, dataset: Dataset, own: torch.Tensor, wanted: Wanted
    ) -> tuple[KeptViews, Costs]:
        """Return rows other than the training images as they are, and what running them cost.

        Parameters
        ----------
        dataset : Dataset
            Of whose train split, all of which could be decoded.
        own : Tensor, shape (n, ...)
            The values of its images as they are.
        wanted : Wanted
            What the rows are to be.

        Raises
        ------
        FeatbenchError
            When an image went away meanwhile: rows would get other images' labels.
        """
        train = dataset.with_splits({"train": dataset.train})
        augmented = wanted.recipes[0] != NO_AUGMENTATION
        every = [
            self._run(
                train,
                [self.at],
                views=wanted.views if augmented else 1,  # exact steps give the same each time
                augment=recipe,
                view_seed=wanted.seed if augmented else 0,
            )[self.at]
            for recipe in wanted.recipes
            if recipe != NO_AUGMENTATION
        ]
        for name, reason in (pair for part in every for pair in part.skipped):
            raise FeatbenchError(f"{name}: {gone(reason)}")
        ways = [torch.from_numpy(part.train.X) for part in every]
        if not augmented:
            ways.insert(0, own)
        # a single view has no dimension of its own
        several = [way if way.ndim > own.ndim else way[:, None] for way in ways]
        return KeptViews(several), _costs(every)

    def _run(
        self, dataset: Dataset, layers: list[str], strict: bool = False, **views: Any
    ) -> dict[str, Features]:
        poolings = {FEATURES: "avg"} | {self.at: pooling_at(self.network, self.at)}
        return extract_layers(
            dataset,
            self.network,
            layers,
            pooling=poolings,
            storage={self.at: storage_at(self.at)},
            precision=self.precision,
            cache=self.cache,
            device=self.device,
            strict=strict,
            reporter=self.reporter,
            **views,
        )


def _bytes_of(tensors: list[torch.Tensor]) -> int:
    """Return the bytes of tensors, each once: copies are trained on beside the images' own."""
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())


def _costs(every: list[Features]) -> Costs:
    return {
        "extract_seconds": sum(part.seconds for part in every),
        "extract_seconds_cold": sum(part.seconds_cold for part in every),
        "rows_computed": sum(part.rows_computed for part in every),
        "rows_cached": sum(part.rows_cached for part in every),
    }
