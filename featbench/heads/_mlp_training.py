"""How the MLP head trains: mini-batches from tensors in memory, schedules, the best epoch."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from featbench.errors import FeatbenchError

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("constant", "cosine", "step")
SELECT = ("last", "val_loss")
_ROWS = 4096

Data = tuple[torch.Tensor, torch.Tensor]


def is_count(value: Any, least: int = 1) -> bool:
    """Say whether this is a whole number that is large enough."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any, holds: Callable[[float], bool]) -> bool:
    """Say whether this is a finite number for which something holds."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(value) and holds(float(value))


@dataclass(frozen=True)
class Training:
    """How to train; the fields are explained at ``MLPHead``.

    Raises
    ------
    ValueError
        For a value that cannot be.
    """

    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup_epochs: float
    step_epochs: int
    step_factor: float
    label_smoothing: float
    select: str
    patience: int | None
    validation_fraction: float

    def __post_init__(self) -> None:
        expected = {
            "epochs": (is_count(self.epochs), "a whole number from 1 up"),
            "batch_size": (is_count(self.batch_size), "a whole number from 1 up"),
            "optimizer": (self.optimizer in OPTIMIZERS, ", ".join(OPTIMIZERS)),
            "lr": (is_number(self.lr, lambda v: v > 0), "a number above 0"),
            "momentum": (is_number(self.momentum, lambda v: 0 <= v < 1), "a number in [0, 1)"),
            "weight_decay": (is_number(self.weight_decay, lambda v: v >= 0), "0 or more"),
            "schedule": (self.schedule in SCHEDULES, ", ".join(SCHEDULES)),
            "warmup_epochs": (
                is_number(self.warmup_epochs, lambda v: v >= 0), "0 or more"
            ),
            "step_epochs": (is_count(self.step_epochs), "a whole number from 1 up"),
            "step_factor": (is_number(self.step_factor, lambda v: v > 0), "a number above 0"),
            "label_smoothing": (
                is_number(self.label_smoothing, lambda v: 0 <= v < 1), "a number in [0, 1)"
            ),
            "select": (self.select in SELECT, ", ".join(SELECT)),
            "patience": (
                self.patience is None or is_count(self.patience), "a whole number from 1 up or none"
            ),
            "validation_fraction": (
                is_number(self.validation_fraction, lambda v: 0 < v < 1), "a number in (0, 1)"
            ),
        }  # fmt: skip
        for name, (holds, what) in expected.items():
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected {what}")
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs={self.warmup_epochs} is more than epochs={self.epochs}"
            )

    @property
    def needs_validation(self) -> bool:
        """Whether something is chosen on validation rows."""
        return self.select == "val_loss" or self.patience is not None

    def make_optimizer(self, module: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser; fused, which saves most of a small step."""
        shared: dict[str, Any] = {
            "lr": self.lr, "weight_decay": self.weight_decay, "fused": True
        }  # fmt: skip
        if self.optimizer == "sgd":
            return torch.optim.SGD(module.parameters(), momentum=self.momentum, **shared)
        kind = torch.optim.AdamW if self.optimizer == "adamw" else torch.optim.Adam
        return kind(module.parameters(), **shared)

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of a step, counted from 0 over all epochs."""
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        if self.schedule == "cosine":  # Loshchilov and Hutter 2017
            done = (step - warmup) / (self.epochs * steps_per_epoch - warmup)
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "step":
            return float(
                self.lr * self.step_factor ** (step // steps_per_epoch // self.step_epochs)
            )
        return self.lr


def train(
    module: nn.Module,
    data: Data,
    validation: Data | None,
    class_weight: torch.Tensor | None,
    how: Training,
) -> tuple[list[dict[str, Any]], int]:
    """Train a module, and leave it with the selected epoch's weights.

    Parameters
    ----------
    module : Module
        Rows to logits; on the device of the data.
    data, validation : (rows, targets)
        Rows (n, d) float32 and targets (n,) int64.
    class_weight : Tensor, shape (n_classes,), optional
        What a row of each class counts in the losses.
    how : Training
        The schedule.

    Returns
    -------
    history : list of dict
        A row an epoch: epoch (from 1), train_loss and train_accuracy (means over the epoch's
        batches while it trains), val_loss and val_accuracy (after it; None without validation),
        lr (of its last step), seconds.
    best : int
        The selected epoch, from 1.

    Raises
    ------
    FeatbenchError
        When the loss is no longer finite.
    """
    optimizer = how.make_optimizer(module)
    history: list[dict[str, Any]] = []
    best, best_loss, best_state = 0, math.inf, {}
    for epoch in range(1, how.epochs + 1):
        began = time.perf_counter()
        row: dict[str, Any] = {"epoch": epoch, "train_loss": None, "train_accuracy": None}
        row |= {"val_loss": None, "val_accuracy": None}
        row["train_loss"], row["train_accuracy"], row["lr"] = _epoch(
            module, data, class_weight, how, optimizer, epoch - 1
        )
        if validation is not None:
            row["val_loss"], row["val_accuracy"] = _evaluate(module, validation, class_weight)
        row["seconds"] = time.perf_counter() - began
        losses = [row[name] for name in ("train_loss", "val_loss") if row[name] is not None]
        if not all(map(math.isfinite, losses)):
            raise FeatbenchError(
                f"the loss is {losses[0]:g} in epoch {epoch} of the mlp: training diverged; try a "
                f"lower lr (it is {how.lr:g}), or preprocess='standardise'"
            )
        history.append(row)
        if validation is not None and row["val_loss"] < best_loss:
            best, best_loss = epoch, row["val_loss"]
            if how.select == "val_loss":
                best_state = {name: v.clone() for name, v in module.state_dict().items()}
        if how.patience is not None and epoch - best >= how.patience:
            break
    if not best_state:
        return history, len(history)
    module.load_state_dict(best_state)
    return history, best


def _epoch(
    module: nn.Module,
    data: Data,
    class_weight: torch.Tensor | None,
    how: Training,
    optimizer: torch.optim.Optimizer,
    epoch: int,
) -> tuple[float, float, float]:
    """Pass once over the rows; return loss, accuracy and the last step's learning rate."""
    rows, targets = data
    module.train()
    total = torch.zeros((), device=rows.device)  # read once an epoch: reading waits for the device
    right = torch.zeros((), dtype=torch.int64, device=rows.device)
    steps = list(_batches(len(rows), how.batch_size))
    rate = how.lr
    for number, chosen in enumerate(steps):
        rate = how.rate(epoch * len(steps) + number, len(steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = chosen.to(rows.device)
        target = targets[chosen]
        logits = module(rows[chosen])
        loss = _loss(logits, target, class_weight, how.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(chosen)
        right += (logits.detach().argmax(dim=1) == target).sum()
    return float(total) / len(rows), int(right) / len(rows), rate


def _batches(count: int, size: int) -> Iterator[torch.Tensor]:
    """Yield places in random order; a single one left over goes with the batch before it.

    Batch norm cannot train on a single row.
    """
    parts = torch.randperm(count).split(size)
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts = (*parts[:-2], torch.cat(parts[-2:]))
    yield from parts


def _loss(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Return cross-entropy, the mean over rows of each one's class weight times its loss."""
    if weight is None:
        return functional.cross_entropy(logits, target, label_smoothing=smoothing)
    losses = functional.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    return (losses * weight[target]).mean()


def _evaluate(
    module: nn.Module, data: Data, class_weight: torch.Tensor | None
) -> tuple[float, float]:
    """Return loss (no smoothing) and accuracy."""
    module.eval()
    rows, targets = data
    with torch.no_grad():
        logits = torch.cat([module(part) for part in rows.split(_ROWS)])
        right = (logits.argmax(dim=1) == targets).float().mean()
        return float(_loss(logits, targets, class_weight, 0.0)), float(right)


def hold_out(
    targets: NDArray[np.int64], fraction: float, rng: np.random.RandomState
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split rows into those that train and those held out, a fraction of each class.

    The whole comes to the fraction: what is left of classes too small for it is spread over
    classes by lot. A class keeps one row at least.

    Parameters
    ----------
    targets : ndarray of int, shape (n,)
        Each row's class, from 0.
    fraction : float
        What share is held out.
    rng : RandomState
        Draws the rows.

    Raises
    ------
    ValueError
        When no class has a second row.
    """
    counts = np.bincount(targets)
    shares = fraction * counts
    held = np.floor(shares).astype(int)
    left = max(round(fraction * len(targets)), 1) - held.sum()
    lot = rng.permutation(len(counts))
    lot = lot[np.argsort(-(shares - held)[lot], kind="stable")]
    lot = lot[counts[lot] > held[lot] + 1]
    held[lot[: max(left, 0)]] += 1
    if not held.any():
        raise ValueError(
            "no class has a row to spare for validation: give more rows, or select='last' "
            "and patience=None"
        )
    order = rng.permutation(len(targets))
    rank = np.empty(len(targets), dtype=int)  # a row's place among its class's, in random order
    by_class = order[np.argsort(targets[order], kind="stable")]
    rank[by_class] = np.arange(len(targets)) - np.repeat(counts.cumsum() - counts, counts)
    out = rank < held[targets]
    return np.flatnonzero(~out), np.flatnonzero(out)
