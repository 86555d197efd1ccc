"""``FineTuneClassifier``: trains what lies above a cut of a network, on an image data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from featbench.augmentation import NO_AUGMENTATION, Augmentation
from featbench.datasets import Dataset, Split, with_validation
from featbench.errors import UsageError
from featbench.extraction import choose_device
from featbench.finetune._budget import PLAIN, choose_prefix
from featbench.finetune._inputs import Inputs, load_inputs
from featbench.finetune._last_layers import LinearHead, put_last_layers, start_from
from featbench.finetune._normalise import decoded, normalised_as, normalised_by
from featbench.finetune._objective import Objective, balanced_weights
from featbench.finetune._rates import parameter_groups
from featbench.finetune._schedule import Schedule
from featbench.finetune._trainer import Trainer
from featbench.finetune._training_rows import Wanted, threads_beside
from featbench.machine import flush_denormals, keep_memory
from featbench.networks import PIXELS, Network, create_network
from featbench.progress import SILENT, Reporter


class FineTuneClassifier(BaseEstimator):
    """A pretrained or random network of which the last blocks, or all, are trained.

    Parameters
    ----------
    network : str
        As in ``create_network``.
    weights : str
        As in ``create_network``.
    blocks : int or str
        Train the last so many blocks (0: the classifier alone), from a named block on, or ``all``.
    optimizer, lr, batch, epochs, weight_decay, select, backbone_lr, layer_decay, momentum, \
schedule, warmup_epochs, step_epochs, step_factor, label_smoothing, clip_norm, amp, patience, \
class_weight, loss, binary, hidden, dropout, augment, views, copies, normalise
        As in ``Schedule``.
    warm_start : fitted linear head, optional
        Start the classifier from it (LP-FT, Kumar et al. 2022): the first labels are its own, and
        with cross-entropy the first probabilities too.
    seed : int
        Seeds fresh weights, dropout and the order of the images: two runs on a CPU are identical.
    split_seed : int
        Decides the validation images where the data set has none of its own.
    precision : str
        Of the frozen part's forward: ``float32``, or ``bfloat16`` for speed.
    activation_budget : int, optional
        Bytes that values at the cut may take, in memory and on disk; by default half of what is
        free. Over it the frozen part is run on every batch of every epoch.
    cache : path
        The feature store; the frozen part runs once for each image.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    strict : bool
        A broken image is an error, where else it is left out and reported.
    reporter : Reporter
        Is told of progress.

    Attributes
    ----------
    classes_ : ndarray of int64, shape (n_classes,)
        The labels.
    history_ : list of dict
        A row an epoch.
    best_epoch_ : int
        The epoch whose weights were kept, from 1.
    network_ : Network
        With the trained weights.
    cut_ : str
        The first block that trained: ``classifier``, a block's name or ``pixels``.
    total_, trainable_ : int
        Numbers of parameters.
    copies_ : int
        Copies trained on beside the images.
    inputs_ : Inputs
        The data set without broken images, how the frozen part was run, and what that cost.
    """

    def __init__(
        self,
        network: str = "efficientnet_lite0",
        weights: str = "default",
        blocks: int | str = 1,
        *,
        optimizer: str = "adam",
        lr: float = 1e-3,
        batch: int = 32,
        epochs: int = 8,
        weight_decay: float = 0.0,
        select: str = "val_loss",
        backbone_lr: float | None = None,
        layer_decay: float = 1.0,
        momentum: float = 0.9,
        schedule: str = "constant",
        warmup_epochs: float = 0,
        step_epochs: int = 5,
        step_factor: float = 0.1,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        amp: bool = False,
        patience: int | None = None,
        class_weight: str | None = None,
        loss: str = "cross-entropy",
        binary: str = "softmax",
        hidden: Sequence[int] = (),
        dropout: float | None = None,
        augment: str = "none",
        views: int = 4,
        copies: str | Sequence[str] = (),
        normalise: str = "weights",
        warm_start: LinearHead | None = None,
        seed: int = 0,
        split_seed: int = 0,
        precision: str = "float32",
        activation_budget: int | None = None,
        cache: str | Path = "cache",
        device: str = "auto",
        strict: bool = False,
        reporter: Reporter = SILENT,
    ) -> None:
        self.network = network
        self.weights = weights
        self.blocks = blocks
        self.optimizer = optimizer
        self.lr = lr
        self.batch = batch
        self.epochs = epochs
        self.weight_decay = weight_decay
        self.select = select
        self.backbone_lr = backbone_lr
        self.layer_decay = layer_decay
        self.momentum = momentum
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.step_epochs = step_epochs
        self.step_factor = step_factor
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.amp = amp
        self.patience = patience
        self.class_weight = class_weight
        self.loss = loss
        self.binary = binary
        self.hidden = hidden
        self.dropout = dropout
        self.augment = augment
        self.views = views
        self.copies = copies
        self.normalise = normalise
        self.warm_start = warm_start
        self.seed = seed
        self.split_seed = split_seed
        self.precision = precision
        self.activation_budget = activation_budget
        self.cache = cache
        self.device = device
        self.strict = strict
        self.reporter = reporter

    def fit(self, dataset: Dataset) -> Self:
        """Train on ``dataset.train``; an epoch is selected on its ``val``, or a fifth of train.

        Parameters
        ----------
        dataset : Dataset
            Its test split is not looked at, but for running the frozen part over it.
        """
        schedule = Schedule(**{name: getattr(self, name) for name in Schedule.__dataclass_fields__})
        if self.warm_start is not None and schedule.hidden:
            raise UsageError("warm_start goes without hidden: a linear head has no hidden layers")
        if self.warm_start is not None and schedule.normalise != "weights":
            raise UsageError("warm_start goes without normalise: its head was fitted on features "
                             "of the weights' own normalisation")  # fmt: skip
        classes = len(dataset.classes)
        outputs = schedule.outputs(classes)
        keep_memory()
        if schedule.needs_validation:
            dataset = with_validation(dataset, split_seed=self.split_seed)
        device = choose_device(self.device)
        self.network_ = create_network(self.network, self.weights, outputs, self.seed)
        put_last_layers(self.network_, schedule, self.seed)
        self.at_ = self.network_.place_of(self.blocks)
        self.cut_ = self.network_.first_trained(self.blocks)
        self.total_, self.trainable_ = self.network_.parameters(self.blocks)
        self.inputs_ = self._training_inputs(dataset, schedule, device)
        self.copies_ = len(schedule.copies) * len(self.inputs_.dataset.train)
        _check_enough(self.inputs_.dataset, schedule.needs_validation)
        if self.warm_start is not None:
            start_from(self.warm_start, self.network_)
        suffix, groups = parameter_groups(self.network_, self.at_, schedule)
        splits, tensors = self.inputs_.dataset.splits, self.inputs_.tensors
        data: dict[str, Any] = {
            name: (tensors[name], torch.from_numpy(split.labels)) for name, split in splits.items()
        }
        if self.inputs_.training is not None:
            labels = data["train"][1].repeat(len(schedule.recipes))
            data["train"] = (self.inputs_.training, labels)
        weight = balanced_weights(data["train"][1], classes) if schedule.class_weight else None
        objective = Objective(schedule.loss, weight, schedule.label_smoothing)
        self._trainer = Trainer(suffix, self._prepare(device), device, objective)
        val = data["val"] if "val" in data and len(data["val"][1]) else None
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), torch.enable_grad(), flush_denormals():
            torch.manual_seed(self.seed)
            self.history_, self.best_epoch_ = self._trainer.fit(
                data["train"], val, schedule, groups, self.reporter
            )
        self.classes_ = np.arange(classes)
        return self

    def record(self) -> dict[str, Any]:
        """Return what a result says of the training, by the names of ``Result``'s fields."""
        return {
            "parameters_total": self.total_,
            "parameters_trainable": self.trainable_,
            "best_epoch": self.best_epoch_,
            "prefix": self.inputs_.prefix,
            "preprocessing": self.network_.preprocessing.as_dict(),
            "n_copies": self.copies_,
        }

    def _training_inputs(
        self, dataset: Dataset, schedule: Schedule, device: torch.device
    ) -> Inputs:
        """Settle normalisation and the way through the frozen part, and load what they give."""
        network, how = self.network_, schedule.normalise
        if how in ("half", "imagenet"):
            network.preprocessing = normalised_as(how, network.preprocessing)
        elif how == "data" and self.at_ != PIXELS:  # the frozen part is run with it
            pixels = decoded(dataset.train, network.preprocessing)
            network.preprocessing = normalised_by(pixels, network.preprocessing)
        wanted = Wanted(schedule.recipes, schedule.views, self.seed, threads_beside(device))
        for recipe in schedule.recipes:
            Augmentation(recipe).check(network.preprocessing)
        if self.at_ != PIXELS and not wanted.views and schedule.augment != NO_AUGMENTATION:
            self.reporter.say("views=0: the frozen part is run on every batch of every epoch")
            prefix = PLAIN
        else:
            prefix = choose_prefix(
                dataset,
                network,
                self.at_,
                budget=self.activation_budget,
                precision=self.precision,
                cache=Path(self.cache),
                reporter=self.reporter,
                views=wanted.kept,
            )
        found = self._inputs(dataset, prefix, self.strict, wanted)
        if how == "data" and self.at_ == PIXELS:
            few = (part.numpy() for part in found.tensors["train"].split(256))
            network.preprocessing = normalised_by(few, network.preprocessing)
        return found

    def _inputs(
        self, dataset: Dataset, prefix: str, strict: bool, wanted: Wanted | None = None
    ) -> Inputs:
        return load_inputs(
            dataset,
            self.network_,
            self.at_,
            prefix,
            precision=self.precision,
            cache=str(self.cache),
            device=self.device,
            strict=strict,
            reporter=self.reporter,
            wanted=wanted,
        )

    def _prepare(self, device: torch.device) -> Any:
        """Return what turns a batch as it is held into the trained part's input."""
        network: Network = self.network_

        def pixels(batch: torch.Tensor) -> torch.Tensor:
            return network.preprocessing.normalise(batch.to(device))

        def activations(batch: torch.Tensor) -> torch.Tensor:
            layout = torch.channels_last if batch.ndim == 4 else torch.contiguous_format
            return batch.to(device).to(torch.float32, memory_format=layout)

        if self.at_ == PIXELS:
            return pixels
        if self.inputs_.prefix != PLAIN:
            return activations
        prefix = network.cut(self.at_).prefix.to(device).to(memory_format=torch.channels_last)
        half = self.precision == "bfloat16"

        def run(batch: torch.Tensor) -> torch.Tensor:
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                value: torch.Tensor = prefix(pixels(batch)).float()
            return value

        return run

    def _ask(self, split: Split, strict: bool) -> tuple[NDArray[np.float64], Split]:
        """Return probabilities, and the split of the images that could be decoded."""
        known = self.inputs_.dataset.splits
        name = next((n for n, s in known.items() if s is split), None)
        if name is not None:
            inputs, kept = self.inputs_.tensors[name], split
        else:
            asked = self.inputs_.dataset.with_splits({"asked": split})
            found = self._inputs(asked, self.inputs_.prefix, strict)
            inputs, kept = found.tensors["asked"], found.dataset.splits["asked"]
        chances: NDArray[np.float64] = self._trainer.probabilities(inputs).numpy()
        return chances, kept

    def predict_proba(self, split: Split) -> NDArray[np.float64]:
        """Return probabilities (n, n_classes) for every image of a split.

        Raises
        ------
        FeatbenchError
            When an image cannot be decoded: a row would be missing.
        """
        return self._ask(split, strict=True)[0]

    def predict(self, split: Split) -> NDArray[np.int64]:
        """Return the label of every image of a split, (n,); raises as ``predict_proba``."""
        labels: NDArray[np.int64] = self.predict_proba(split).argmax(axis=1)
        return labels

    def score(self, split: Split) -> float:
        """Return the accuracy on the images of a split that can be decoded, a fraction."""
        chances, kept = self._ask(split, strict=False)
        return float((chances.argmax(axis=1) == kept.labels).mean())


def _check_enough(dataset: Dataset, needs_validation: bool) -> None:
    """Refuse data that nothing can be learned from, before any time is spent."""
    counts = {name: len(split) for name, split in dataset.splits.items()}
    if len(np.unique(dataset.train.labels)) < 2 or (needs_validation and not counts.get("val")):
        raise UsageError(
            f"{dataset.source}: too few images to train on ({counts}); training needs two classes, "
            "and selecting an epoch a validation image: add images, or use select=last"
        )
