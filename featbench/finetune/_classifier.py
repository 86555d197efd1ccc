"""``FineTuneClassifier``: trains what lies above a cut of a network, on an image data set."""

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn

from featbench.datasets import Dataset, Split, with_validation
from featbench.errors import UsageError
from featbench.extraction import choose_device
from featbench.finetune._inputs import Inputs, load_inputs
from featbench.finetune._trainer import Schedule, Trainer
from featbench.machine import flush_denormals
from featbench.networks import PIXELS, Network, create_network
from featbench.progress import SILENT, Reporter

_NO_CHANCE = -30.0


class LinearHead(Protocol):
    """A fitted head that is one linear layer on the features, to start from."""

    classes_: NDArray[Any]

    def linear_layer(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (n_classes, d) and biases (n_classes,) on raw features."""


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
    optimizer, lr, batch, epochs, weight_decay, select
        As in ``Schedule``.
    warm_start : fitted linear head, optional
        Start the classifier from it (LP-FT, Kumar et al. 2022): the first predictions are its own.
    seed : int
        Seeds fresh weights, dropout and the order of the images.
    split_seed : int
        Decides the validation images where the data set has none of its own.
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
    inputs_ : Inputs
        The data set without broken images, and what running the frozen part cost.
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
        warm_start: LinearHead | None = None,
        seed: int = 0,
        split_seed: int = 0,
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
        self.warm_start = warm_start
        self.seed = seed
        self.split_seed = split_seed
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
        if schedule.select == "val_loss":
            dataset = with_validation(dataset, split_seed=self.split_seed)
        device = choose_device(self.device)
        classes = len(dataset.classes)
        self.network_ = create_network(self.network, self.weights, classes, self.seed)
        self.at_ = self.network_.place_of(self.blocks)
        self.cut_ = self.network_.first_trained(self.blocks)
        self.total_, self.trainable_ = self.network_.parameters(self.blocks)
        self.inputs_ = self._inputs(dataset, self.strict)
        _check_enough(self.inputs_.dataset, schedule.select == "val_loss")
        if self.warm_start is not None:
            _start_from(self.warm_start, self.network_)
        self._trainer = Trainer(self.network_.cut(self.at_).suffix, self._prepare(device), device)
        splits, tensors = self.inputs_.dataset.splits, self.inputs_.tensors
        data = {
            name: (tensors[name], torch.from_numpy(split.labels)) for name, split in splits.items()
        }
        val = data["val"] if schedule.select == "val_loss" else None
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), flush_denormals():
            torch.manual_seed(self.seed)
            self.history_, self.best_epoch_ = self._trainer.fit(
                data["train"], val, schedule, self.reporter
            )
        self.classes_ = np.arange(classes)
        return self

    def _inputs(self, dataset: Dataset, strict: bool) -> Inputs:
        return load_inputs(
            dataset,
            self.network_,
            self.at_,
            cache=str(self.cache),
            device=self.device,
            strict=strict,
            reporter=self.reporter,
        )

    def _prepare(self, device: torch.device) -> Any:
        network: Network = self.network_

        def pixels(batch: torch.Tensor) -> torch.Tensor:
            return network.preprocessing.normalise(batch.to(device))

        def activations(batch: torch.Tensor) -> torch.Tensor:
            layout = torch.channels_last if batch.ndim == 4 else torch.contiguous_format
            return batch.to(device, memory_format=layout)

        return pixels if self.at_ == PIXELS else activations

    def _ask(self, split: Split, strict: bool) -> tuple[NDArray[np.float64], Split]:
        """Return probabilities, and the split of the images that could be decoded."""
        known = self.inputs_.dataset.splits
        name = next((n for n, s in known.items() if s is split), None)
        if name is not None:
            inputs, kept = self.inputs_.tensors[name], split
        else:
            found = self._inputs(self.inputs_.dataset.with_splits({"asked": split}), strict)
            inputs, kept = found.tensors["asked"], found.dataset.splits["asked"]
        chances: NDArray[np.float64] = self._trainer.logits(inputs).double().softmax(1).numpy()
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


def _start_from(head: LinearHead, network: Network) -> None:
    """Copy a linear head into the network's classifier; classes it never saw get no chance."""
    weight, bias = head.linear_layer()
    layer = network.module.get_submodule(network.classifier)
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    if layer.bias is None or weight.shape[1] != layer.weight.shape[1]:
        raise UsageError(
            f"warm start: the head has {weight.shape[1]} features, {network.name}'s "
            f"classifier {layer.weight.shape[1]} (and it needs a bias)"
        )
    seen = torch.as_tensor(head.classes_, dtype=torch.int64)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(float(bias.min()) + _NO_CHANCE)
        layer.weight[seen] = torch.from_numpy(weight).float().reshape(-1, *layer.weight.shape[1:])
        layer.bias[seen] = torch.from_numpy(bias).float()
