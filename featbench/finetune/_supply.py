"""What the trained part of a network is given: which images, by which way, in which form."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from featbench.augmentation import NO_AUGMENTATION, Augmentation
from featbench.datasets import Dataset
from featbench.errors import UsageError
from featbench.extraction import PRECISIONS, choose_device
from featbench.finetune._budget import PLAIN, choose_prefix
from featbench.finetune._inputs import Inputs, load_inputs
from featbench.finetune._normalise import decoded, normalised_as, normalised_by
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

    def for_training(self, dataset: Dataset, schedule: Schedule, seed: int) -> Inputs:
        """Settle normalisation and the way through the frozen part, and load what they give.

        Parameters
        ----------
        dataset : Dataset
            All splits.
        schedule : Schedule
            Its normalisation, augmentation and copies.
        seed : int
            Of the views.

        Raises
        ------
        UsageError
            For a precision that there is not, or a recipe that cannot be.
        """
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision={self.precision!r}: expected {', '.join(PRECISIONS)}")
        network, how = self.network, schedule.normalise
        if how in ("half", "imagenet"):
            network.preprocessing = normalised_as(how, network.preprocessing)
        elif how == "data" and self.at != PIXELS:  # the frozen part is run with it
            pixels = decoded(dataset.train, network.preprocessing)
            network.preprocessing = normalised_by(pixels, network.preprocessing)
        threads = threads_beside(choose_device(self.device))
        self._wanted = Wanted(schedule.recipes, schedule.views, seed, threads)
        for recipe in schedule.recipes:
            Augmentation(recipe).check(network.preprocessing)
        self.prefix = self._choose(dataset, schedule, self._wanted)
        found = self._load(dataset, self.strict, self._wanted)
        if how == "data" and self.at == PIXELS:
            few = (part.numpy() for part in found.tensors["train"].split(256))
            network.preprocessing = normalised_by(few, network.preprocessing)
        return found

    def _choose(self, dataset: Dataset, schedule: Schedule, wanted: Wanted) -> str:
        if self.at != PIXELS and not wanted.views and schedule.augment != NO_AUGMENTATION:
            self.reporter.say("views=0: the frozen part is run on every batch of every epoch")
            return PLAIN
        return choose_prefix(
            validation_in_train(dataset) if schedule.refit else dataset,
            self.network,
            self.at,
            budget=self.budget,
            precision=self.precision,
            cache=Path(self.cache),
            reporter=self.reporter,
            views=wanted.kept,
        )

    def for_asking(self, dataset: Dataset, strict: bool) -> Inputs:
        """Load images as they are, by the same way as those trained on."""
        return self._load(dataset, strict, None)

    def with_validation(self, inputs: Inputs) -> Inputs:
        """Return what is trained on when val's images belong to train."""
        if inputs.training is None:
            return with_validation_inputs(inputs)
        val = inputs.dataset.with_splits({"train": inputs.dataset.splits["val"]})
        return with_validation_inputs(inputs, self._load(val, True, self._wanted))

    def _load(self, dataset: Dataset, strict: bool, wanted: Wanted | None) -> Inputs:
        return load_inputs(
            dataset,
            self.network,
            self.at,
            self.prefix,
            precision=self.precision,
            cache=self.cache,
            device=self.device,
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
