"""What every training loop shares: its settings, the learning rate's course, the epoch kept."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from torch import nn
from torch.nn import functional

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("constant", "cosine", "step")


def is_count(value: Any, least: int = 1) -> bool:
    """Say whether this is a whole number that is large enough."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any, holds: Callable[[float], bool]) -> bool:
    """Say whether this is a finite number for which something holds."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(value) and holds(float(value))


@dataclass(frozen=True, kw_only=True)
class Course:
    """How weights descend, whatever the module.

    Parameters
    ----------
    epochs : int
        Passes over the training rows.
    optimizer : str
        ``adamw``, ``adam`` or ``sgd``.
    lr : float
        Learning rate.
    momentum : float
        SGD's momentum.
    weight_decay : float
        L2 penalty: decoupled with ``adamw`` (Loshchilov and Hutter 2019), else in the gradient.
    schedule : str
        The learning rate's: ``constant``; ``cosine``, to 0, step by step (Loshchilov and Hutter
        2017); ``step``, multiplied by ``step_factor`` every ``step_epochs`` epochs.
    warmup_epochs : float
        Over so many epochs the learning rate rises linearly to ``lr`` first.
    step_epochs, step_factor : int, float
        For ``schedule='step'``.
    label_smoothing : float
        Share of each target that is spread over all classes, in training.
    patience : int, optional
        Stop after so many epochs that were no better on validation.
    """

    epochs: int
    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup_epochs: float
    step_epochs: int
    step_factor: float
    label_smoothing: float
    patience: int | None

    def rules(self) -> dict[str, tuple[bool, str]]:
        """Return for each setting whether it can be, and what is expected."""
        return {
            "epochs": (is_count(self.epochs), "a whole number from 1 up"),
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
            "patience": (
                self.patience is None or is_count(self.patience), "a whole number from 1 up or none"
            ),
        }  # fmt: skip

    def problem(self) -> str:
        """Return the first setting that cannot be and what is expected; empty where all can."""
        for name, (holds, expected) in self.rules().items():
            if not holds:
                return f"{name}={getattr(self, name)!r}: expected {expected}"
        if self.warmup_epochs > self.epochs:
            return f"warmup_epochs={self.warmup_epochs} is more than epochs={self.epochs}"
        return ""

    def make_optimizer(
        self, parameters: Any, device: torch.device | None = None
    ) -> torch.optim.Optimizer:
        """Return the optimiser; fused where it can be, which saves most of a small step.

        Parameters
        ----------
        parameters : iterable of Parameter, or of dict
            What is trained, or groups of it with learning rates of their own.
        device : torch.device, optional
            Where the parameters are; by default one that fuses.
        """
        fused = device is None or device.type in ("cpu", "cuda")
        shared: dict[str, Any] = {
            "lr": self.lr, "weight_decay": self.weight_decay, "fused": fused
        }  # fmt: skip
        if self.optimizer == "sgd":
            return torch.optim.SGD(parameters, momentum=self.momentum, **shared)
        kind = torch.optim.AdamW if self.optimizer == "adamw" else torch.optim.Adam
        return kind(parameters, **shared)

    def rate(self, step: int, steps_per_epoch: int, lr: float | None = None) -> float:
        """Return the learning rate of a step, counted from 0 over all epochs.

        Parameters
        ----------
        step, steps_per_epoch : int
            The step, and how many make an epoch.
        lr : float, optional
            The whole rate, in place of ``lr``.
        """
        lr = self.lr if lr is None else lr
        warmup = round(self.warmup_epochs * steps_per_epoch)
        if step < warmup:
            return lr * (step + 1) / warmup
        if self.schedule == "cosine":
            done = (step - warmup) / (self.epochs * steps_per_epoch - warmup)
            return lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "step":
            return float(lr * self.step_factor ** (step // steps_per_epoch // self.step_epochs))
        return lr


class BestEpoch:
    """Keeps the weights of the best epoch so far, and says when to stop.

    Parameters
    ----------
    select : str
        ``val_loss`` keeps the epoch with the lowest validation loss, ``val_accuracy`` that with
        the highest validation accuracy (the first of equals), ``last`` the last one.
    patience : int, optional
        As in ``Course``; with ``last`` it looks at the validation loss.
    """

    def __init__(self, select: str, patience: int | None) -> None:
        self._keeps, self._patience = select != "last", patience
        self._measure = "val_accuracy" if select == "val_accuracy" else "val_loss"
        self._best, self._value = 0, math.inf
        self._state: dict[str, torch.Tensor] = {}

    def stops_after(self, row: Mapping[str, Any], module: nn.Module) -> bool:
        """Look at an epoch's row of the history, and say whether it was the last one."""
        value = row.get(self._measure)
        if value is None:
            return False
        value = -value if self._measure == "val_accuracy" else value
        if value < self._value:
            self._best, self._value = row["epoch"], value
            if self._keeps:
                self._state = {name: v.clone() for name, v in module.state_dict().items()}
        return self._patience is not None and row["epoch"] - self._best >= self._patience

    def kept(self) -> tuple[int, float, dict[str, torch.Tensor]]:
        """Return the best epoch so far (0: none), what it is measured by, and its weights."""
        return self._best, self._value, self._state

    def go_on(self, best: int, value: float, state: dict[str, torch.Tensor]) -> None:
        """Take up what ``kept`` returned."""
        self._best, self._value, self._state = best, value, state

    def restore(self, module: nn.Module, last: int) -> int:
        """Leave the module with the kept weights; return their epoch, ``last`` where none is."""
        if not self._state:
            return last
        module.load_state_dict(self._state)
        return self._best


def random_batches(
    count: int, size: int, generator: torch.Generator | None = None
) -> Iterator[torch.Tensor]:
    """Yield places in random order; a single one left over goes with the batch before it.

    Batch norm cannot train on a single row.
    """
    parts = torch.randperm(count, generator=generator).split(size)
    if size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts = (*parts[:-2], torch.cat(parts[-2:]))
    yield from parts


def cross_entropy(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None, smoothing: float
) -> torch.Tensor:
    """Return cross-entropy, the mean over rows of each one's class weight times its loss."""
    if weight is None:
        return functional.cross_entropy(logits, target, label_smoothing=smoothing)
    losses = functional.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
    return (losses * weight[target]).mean()
