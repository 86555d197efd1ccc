"""What the trained part of a network is given: which images, by which way, in which form."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from featbench.augmentation import NO_AUGMENTATION, Augmentation
from featbench.datasets import Dataset
from featbench.errors import UsageError
from featbench.extraction import PRECISIONS, choose_device
from featbench.finetune._at_cut import AtCut
from featbench.finetune._budget import (
    CACHED,
    PLAIN,
    Activations,
    choose_prefix,
    pixels_fit,
    still_fits,
)
from featbench.finetune._inputs import Inputs, together
from featbench.finetune._normalise import decoded, normalised_as, normalised_by
from featbench.finetune._pixels import load_pixels
from featbench.finetune._refit import validation_in_train, with_validation_inputs
from featbench.finetune._schedule import Schedule
from featbench.finetune._training_rows import Wanted, threads_beside
from featbench.networks import PIXELS, Network
from featbench.progress import Reporter


@dataclass
class Supply:
    """Loads inputs for the part of a network above a cut.

    Parameters
    ----------
    network : Network
        Gets the normalisation that a schedule asks for.
    at : str
        The cut.
    budget : int, optional
        As ``activation_budget`` of ``FineTuneClassifier``, from which the others come too.
    precision, cache, device, strict, reporter
        As there.
    """

    network: Network
    at: str
    budget: int | None
    precision: str
    cache: str
    device: str
    strict: bool
    reporter: Reporter
    prefix: str = field(default="", init=False)
    _wanted: Wanted | None = field(default=None, init=False)
    _hold: bool = field(default=True, init=False)

    def for_training(
        self, dataset: Dataset, schedule: Schedule, seed: int, *, with_features: bool = False
    ) -> Inputs:
        """Settle normalisation and the way through the frozen part, and load what they give.

        Parameters
        ----------
        dataset : Dataset
            All splits.
        schedule : Schedule
            Its normalisation, augmentation and copies.
        seed : int
            Of the views.
        with_features : bool
            Where a frozen part is run once, it gives the store the features too.

        Raises
        ------
        UsageError
            For a precision that there is not, or a recipe that cannot be.
        """
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision={self.precision!r}: expected {', '.join(PRECISIONS)}")
        network, how = self.network, schedule.normalise
        began = time.perf_counter()
        if how in ("half", "imagenet"):
            network.preprocessing = normalised_as(how, network.preprocessing)
        elif how == "data" and self.at != PIXELS:  # the frozen part is run with it
            pixels = decoded(dataset.train, network.preprocessing)
            network.preprocessing = normalised_by(pixels, network.preprocessing)
        looking = time.perf_counter() - began
        threads = threads_beside(choose_device(self.device))
        wanted = Wanted(schedule.recipes, schedule.views, seed, threads)
        self._wanted = wanted if wanted.anything else None
        for recipe in schedule.recipes:
            Augmentation(recipe).check(network.preprocessing)
        found = self._choose_and_load(dataset, schedule, with_features)
        began = time.perf_counter()
        if how == "data" and self.at == PIXELS:
            few = (part.numpy() for part in found.tensors["train"].split(256))
            network.preprocessing = normalised_by(few, network.preprocessing)
        looking += time.perf_counter() - began
        if how != "data":
            return found
        # decoding for the statistics is a cost of the inputs, whichever way these are had
        more = {"extract_seconds": looking, "extract_seconds_cold": looking}
        return replace(found, costs=together(found.costs, more))

    def _choose_and_load(self, dataset: Dataset, schedule: Schedule, with_features: bool) -> Inputs:
        views = 0 if self._wanted is None else self._wanted.kept
        in_all = validation_in_train(dataset) if schedule.refit else dataset
        counted = Activations.of(in_all, self.network, self.at, views)
        self.prefix = PLAIN
        if schedule.augment != NO_AUGMENTATION and not schedule.views and self.at != PIXELS:
            self.reporter.say("views=0: the frozen part is run on every batch of every epoch")
        else:
            self.prefix = choose_prefix(
                counted,
                budget=self.budget,
                precision=self.precision,
                cache=Path(self.cache),
                reporter=self.reporter,
            )
        spent, stored = dict[str, Any](), False
        if self.prefix == CACHED:
            found = self._at_cut.load(dataset, self.strict, self._wanted, with_features)
            now = Activations.of(dataset, self.network, self.at, views)
            held = round(counted.whole * found.nbytes / max(1, now.whole))  # val's views follow
            if still_fits(counted, held, self.budget, self.reporter):
                return found
            self.prefix, spent, stored = PLAIN, found.costs, found.with_features
            del found  # its memory is what the pictures take
        self._hold = pixels_fit(
            dataset,
            self.network.preprocessing,
            self._wanted,
            refit=schedule.refit,
            budget=self.budget,
            reporter=self.reporter,
        )
        found = self._pixels(dataset, self.strict, self._wanted)
        costs = together(found.costs, spent)
        return replace(found, costs=costs, with_features=stored)

    def for_asking(self, dataset: Dataset, strict: bool) -> Inputs:
        """Load images as they are, by the same way as those trained on."""
        if self.prefix == CACHED:
            return self._at_cut.load(dataset, strict, None)
        return self._pixels(dataset, strict, None)

    def with_validation(self, inputs: Inputs) -> Inputs:
        """Return what is trained on when val's images belong to train."""
        if inputs.training is None or self._wanted is None:
            return with_validation_inputs(inputs)
        val = inputs.dataset.with_splits({"train": inputs.dataset.splits["val"]})
        if self.prefix == CACHED:  # val's own rows are there, and were counted
            own = inputs.tensors["val"]
            return with_validation_inputs(
                inputs, *self._at_cut.training_rows(val, own, self._wanted)
            )
        more = self._pixels(val, True, self._wanted)
        return with_validation_inputs(inputs, more.training, more.costs, more.tensors["train"])

    @property
    def _at_cut(self) -> AtCut:
        return AtCut(self.network, self.at, self.precision, self.cache, self.device, self.reporter)

    def _pixels(self, dataset: Dataset, strict: bool, wanted: Wanted | None) -> Inputs:
        return load_pixels(
            dataset,
            self.network,
            self.prefix,
            hold=self._hold,
            strict=strict,
            reporter=self.reporter,
            wanted=wanted,
        )

    def prepare(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what turns a batch as it is held into the trained part's input."""
        network, device = self.network, choose_device(self.device)

        def pixels(batch: torch.Tensor) -> torch.Tensor:
            return network.preprocessing.normalise(batch.to(device))

        def activations(batch: torch.Tensor) -> torch.Tensor:
            layout = torch.channels_last if batch.ndim == 4 else torch.contiguous_format
            return batch.to(device).to(torch.float32, memory_format=layout)

        if self.at == PIXELS:
            return pixels
        if self.prefix != PLAIN:
            return activations
        prefix = network.cut(self.at).prefix.to(device).to(memory_format=torch.channels_last)
        half = self.precision == "bfloat16"

        def run(batch: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                value: torch.Tensor = prefix(pixels(batch)).float()
            return value

        return run
