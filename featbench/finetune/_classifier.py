"""``FineTuneClassifier``: trains what lies above a cut of a network, on an image data set."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn

from featbench.datasets import Dataset, Split
from featbench.errors import UsageError
from featbench.extraction import choose_device
from featbench.finetune._checkpoint import Checkpoint
from featbench.finetune._held_out import hold_out
from featbench.finetune._history import Listener
from featbench.finetune._last_layers import WarmStart, go_on_from, put_last_layers, start_from
from featbench.finetune._objective import Objective, class_weights
from featbench.finetune._rates import parameter_groups
from featbench.finetune._refit import first_epochs, training_anew
from featbench.finetune._schedule import Schedule
from featbench.finetune._supply import Supply
from featbench.finetune._trainer import Trainer
from featbench.machine import flush_denormals, keep_memory
from featbench.networks import GivenWeights, create_network, sha256_of_tensors
from featbench.progress import SILENT, Reporter


class FineTuneClassifier(BaseEstimator):
    """A pretrained or random network of which the last blocks, or all, are trained.

    Parameters
    ----------
    network : str
        As in ``create_network``.
    weights : str or GivenWeights
        As in ``create_network``.
    blocks : int or str
        Train the last so many blocks (0: the classifier alone), from a named block on, or ``all``.
    optimizer, lr, batch, epochs, weight_decay, select, backbone_lr, layer_decay, momentum, \
schedule, warmup_epochs, step_epochs, step_factor, label_smoothing, clip_norm, amp, patience, \
class_weight, loss, binary, hidden, dropout, refit, augment, views, copies, normalise
        As in ``Schedule``.
    warm_start : fitted linear head or callable, optional
        Start the classifier from it (LP-FT, Kumar et al. 2022): the first labels are its own, and
        with cross-entropy the first probabilities too. A callable returns such a head: before it is
        called, the pass that gets the values at the cut gives ``cache`` the features too.
    init_from : GivenWeights, optional
        In place of ``weights``, go on from these, classifier included (staged training): hidden
        layers and the number of classes must be the same.
    checkpoint : path, optional
        A folder of its own for this training's state at the end of epochs (every ten seconds at
        most, and when interrupted): with the same settings and data, ``fit`` goes on from there,
        to the same end. It stays until somebody removes it, but for that of a training that
        diverged.
    seed : int
        Seeds fresh weights, dropout and the order of the images: two runs on a CPU with one cache
        and as many threads are identical to the byte.
    init_seed : int, optional
        Of fresh weights, in place of ``seed``: so several seeds begin with the same network.
    split_seed : int
        Decides the validation images where the data set has none of its own.
    precision : str
        Of the frozen part's forward: ``float32``, or ``bfloat16`` for speed.
    activation_budget : int, optional
        Bytes that values at the cut may take, in memory and on disk; by default half of what is
        free. Over it the frozen part is run on every batch of every epoch. Decoded pictures, where
        pixels are trained on, may take as much memory; over it they are decoded for every batch.
    cache : path
        The feature store; the frozen part runs once for each image.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    strict : bool
        A broken image is an error, where else it is left out and reported.
    reporter : Reporter
        Is told of progress.
    listeners : sequence of callable
        Each is given the history's new row at the end of every epoch.

    Notes
    -----
    What is frozen stays as it is, byte for byte: its parameters get no gradient and are in no
    optimiser, so that neither momentum nor weight decay reaches them, and its batch norm uses the
    statistics it came with, in eval mode. Batch norm above the cut trains as ever: it normalises by
    its own batch and moves its statistics. With ``blocks="all"`` that is all batch norm there is,
    pretrained or not; small batches then make its statistics noisy.

    Attributes
    ----------
    classes_ : ndarray of int64, shape (n_classes,)
        The labels.
    history_ : list of dict
        A row an epoch; with ``refit`` of the training that the epoch was selected in.
    resumed_after_ : int
        The epoch after which an interrupted training went on; 0 where it began.
    seconds_before_ : float
        What epochs took that were trained before an interruption.
    best_epoch_ : int
        The epoch whose weights were kept, from 1.
    n_val_ : int
        Images that it was selected on.
    network_ : Network
        With the trained weights.
    outputs_ : int
        Of the network: one a class, or a single one for two.
    cut_ : str
        The first block that trained: ``classifier``, a block's name or ``pixels``.
    total_, trainable_ : int
        Numbers of parameters.
    copies_ : int
        Copies trained on beside the images.
    inputs_ : Inputs
        The data set without broken images, how the frozen part was run, and what that cost; with
        ``refit`` its train split has val's images too.
    """

    def __init__(
        self,
        network: str = "efficientnet_lite0",
        weights: str | GivenWeights = "default",
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
        class_weight: str | Mapping[Any, float] | None = None,
        loss: str = "cross-entropy",
        binary: str = "softmax",
        hidden: Sequence[int] = (),
        dropout: float | None = None,
        refit: bool = False,
        augment: str = "none",
        views: int = 4,
        copies: str | Sequence[str] = (),
        normalise: str = "weights",
        warm_start: WarmStart | None = None,
        init_from: GivenWeights | None = None,
        checkpoint: str | Path | None = None,
        seed: int = 0,
        init_seed: int | None = None,
        split_seed: int = 0,
        precision: str = "float32",
        activation_budget: int | None = None,
        cache: str | Path = "cache",
        device: str = "auto",
        strict: bool = False,
        reporter: Reporter = SILENT,
        listeners: Sequence[Listener] = (),
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
        self.refit = refit
        self.augment = augment
        self.views = views
        self.copies = copies
        self.normalise = normalise
        self.warm_start = warm_start
        self.init_from = init_from
        self.checkpoint = checkpoint
        self.seed = seed
        self.init_seed = init_seed
        self.split_seed = split_seed
        self.precision = precision
        self.activation_budget = activation_budget
        self.cache = cache
        self.device = device
        self.strict = strict
        self.reporter = reporter
        self.listeners = listeners

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
        if isinstance(schedule.class_weight, Mapping):
            dataset.by_label(schedule.class_weight)  # a wrong name is found before any work
        if self.init_from is not None and (self.warm_start is not None
                                           or self.weights != "default"):  # fmt: skip
            raise UsageError("init_from goes without weights and warm_start: it brings its own, "
                             "classifier included")  # fmt: skip
        if self.warm_start is not None and schedule.normalise != "weights":
            raise UsageError("warm_start goes without normalise: its head was fitted on features "
                             "of the weights' own normalisation")  # fmt: skip
        classes = len(dataset.classes)
        outputs = self.outputs_ = schedule.outputs(classes)
        keep_memory()
        if schedule.needs_validation:
            dataset = hold_out(dataset, self.split_seed, self.reporter)
        device = choose_device(self.device)
        weights = self.weights if self.init_from is None else self.init_from
        fresh = self.seed if self.init_seed is None else self.init_seed
        self.network_ = create_network(self.network, weights, outputs, fresh)
        put_last_layers(self.network_, schedule, fresh)
        if self.init_from is not None:
            go_on_from(self.init_from, self.network_)
        self.at_ = self.network_.place_of(self.blocks)
        self.cut_ = self.network_.first_trained(self.blocks)
        self.total_, self.trainable_ = self.network_.parameters(self.blocks)
        self._supply = Supply(
            self.network_, self.at_, self.activation_budget, self.precision, str(self.cache),
            self.device, self.strict, self.reporter,
        )  # fmt: skip
        fits_later = self.warm_start is not None and callable(self.warm_start)
        self.inputs_ = self._supply.for_training(
            dataset, schedule, self.seed, with_features=fits_later
        )
        _check_enough(self.inputs_.dataset, schedule.needs_validation)
        if self.warm_start is not None:
            start_from(self.warm_start, self.network_)
        suffix, groups = parameter_groups(self.network_, self.at_, schedule)
        own = suffix.state_dict() if schedule.refit else {}
        began = {name: value.detach().clone() for name, value in own.items()}
        checkpoint, self.seconds_before_ = self._checkpoint(schedule, device), 0.0
        self.n_val_ = len(self.inputs_.dataset.splits.get("val", ()))
        self.history_, self.best_epoch_ = self._train(
            suffix, groups, schedule, device, checkpoint, self.listeners
        )
        self.resumed_after_ = self._trainer.resumed_after
        self.classes_ = np.arange(classes)
        if schedule.refit:
            self.reporter.say(f"epoch {self.best_epoch_} is selected: training anew on train and "
                              f"val for {self.best_epoch_} epochs")  # fmt: skip
            self.inputs_ = self._supply.with_validation(self.inputs_)
            suffix.load_state_dict(began)
            again = first_epochs(schedule, self.best_epoch_)
            kept = None if checkpoint is None else checkpoint.inner(f"refit-{again.epochs}")
            with training_anew(checkpoint):
                self._train(suffix, groups, again, device, kept)
        self.copies_ = len(schedule.copies) * len(self.inputs_.dataset.train)
        self.network_.forget_sha256()  # rows of a trained network are no longer the old one's
        return self

    def _train(
        self,
        suffix: nn.Module,
        groups: list[dict[str, Any]],
        schedule: Schedule,
        device: torch.device,
        checkpoint: Checkpoint | None = None,
        listeners: Sequence[Listener] = (),
    ) -> tuple[list[dict[str, Any]], int]:
        """Train once on the inputs; return the history and the epoch that was kept."""
        data: dict[str, Any] = {
            name: (self.inputs_.tensors[name], torch.from_numpy(split.labels))
            for name, split in self.inputs_.dataset.splits.items()
        }
        if self.inputs_.training is not None:
            labels = data["train"][1].repeat(len(schedule.recipes))
            data["train"] = (self.inputs_.training, labels)
        weight = class_weights(schedule, self.inputs_.dataset, data["train"][1])
        objective = Objective(schedule.loss, weight, schedule.label_smoothing)
        self._trainer = Trainer(suffix, self._supply.prepare(), device, objective, listeners)
        val = data["val"] if "val" in data and len(data["val"][1]) else None
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), torch.enable_grad(), flush_denormals():
            torch.manual_seed(self.seed)
            history, best = self._trainer.fit(
                data["train"], val, schedule, groups, self.reporter, checkpoint
            )
        before = history[: self._trainer.resumed_after]
        self.seconds_before_ += sum(row["seconds"] for row in before)
        return history, best

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

    def _checkpoint(self, schedule: Schedule, device: torch.device) -> Checkpoint | None:
        """Return where to keep the training, named by all that its end hangs on."""
        if self.checkpoint is None:
            return None
        what = {
            **vars(schedule), "at": self.at_, "seed": self.seed, "device": device.type,
            "prefix": self.inputs_.prefix, "precision": self.precision,
            "data": self.inputs_.dataset.fingerprint, "network": self.network_.name,
            "weights": sha256_of_tensors(self.network_.module.state_dict()),
            "preprocessing": self.network_.preprocessing.as_dict(),
        }  # fmt: skip
        text = json.dumps(what, sort_keys=True, default=str)
        return Checkpoint(Path(self.checkpoint), hashlib.sha256(text.encode()).hexdigest())

    def _ask(self, split: Split, strict: bool) -> tuple[NDArray[np.float64], Split]:
        """Return probabilities, and the split of the images that could be decoded."""
        known = self.inputs_.dataset.splits
        name = next((n for n, s in known.items() if s is split), None)
        if name is not None:
            inputs, kept = self.inputs_.tensors[name], split
        else:
            asked = self.inputs_.dataset.with_splits({"asked": split})
            found = self._supply.for_asking(asked, strict)
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
