"""Trains a module on tensors in memory: epochs, validation, the best state."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from featbench.errors import FeatbenchError, UsageError
from featbench.progress import Reporter

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": lambda parameters, lr, decay: torch.optim.Adam(parameters, lr=lr, weight_decay=decay),
    "sgd": lambda parameters, lr, decay: torch.optim.SGD(
        parameters, lr=lr, momentum=0.9, weight_decay=decay
    ),
}
SELECT = ("val_loss", "last")


@dataclass(frozen=True)
class Schedule:
    """How to train.

    Parameters
    ----------
    optimizer : str
        ``adam``, or ``sgd`` with momentum 0.9.
    lr : float
        Learning rate, constant.
    batch : int
        Images a step.
    epochs : int
        Passes over the training images.
    weight_decay : float
        L2 penalty, as the optimiser applies it.
    select : str
        ``val_loss`` keeps the epoch with the lowest validation loss, ``last`` the last one.
    """

    optimizer: str = "adam"
    lr: float = 1e-3
    batch: int = 32
    epochs: int = 8
    weight_decay: float = 0.0
    select: str = "val_loss"

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise UsageError(f"optimizer={self.optimizer!r}: expected {', '.join(OPTIMIZERS)}")
        if self.select not in SELECT:
            raise UsageError(f"select={self.select!r}: expected {', '.join(SELECT)}")
        numbers = (self.epochs, self.batch, self.lr, self.weight_decay)
        if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
            raise UsageError(f"epochs, batch, lr and weight_decay need to be numbers; got {self}")
        if self.epochs < 1 or self.batch < 1 or self.lr <= 0 or self.weight_decay < 0:
            raise UsageError(
                "epochs and batch need to be at least 1, lr above 0, weight_decay 0 or "
                f"more; got {self}"
            )


class Trainer:
    """One module, what turns stored inputs into its own, and a device.

    Parameters
    ----------
    module : Module
        What is trained.
    prepare : callable
        Turns a batch of stored inputs (uint8 pixels, say) into the module's input, on the device.
    device : torch.device
        Where to train.
    """

    def __init__(
        self,
        module: nn.Module,
        prepare: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
    ) -> None:
        self.module = module.to(device).to(memory_format=torch.channels_last)
        self._prepare, self._device = prepare, device

    def fit(
        self,
        train: tuple[torch.Tensor, torch.Tensor],
        val: tuple[torch.Tensor, torch.Tensor] | None,
        schedule: Schedule,
        reporter: Reporter,
    ) -> tuple[list[dict[str, Any]], int]:
        """Train, and leave the module with the selected epoch's weights.

        Parameters
        ----------
        train, val : (inputs, labels)
            Inputs as stored and labels (n,) int64; val may be None with ``select='last'``.
        schedule : Schedule
            How to train.
        reporter : Reporter
            Is told of every epoch.

        Returns
        -------
        history : list of dict
            A row an epoch: losses, accuracies, seconds.
        best : int
            The selected epoch, from 1.

        Raises
        ------
        FeatbenchError
            When the loss is no longer finite.
        """
        parameters = [p for p in self.module.parameters() if p.requires_grad]
        optimizer = OPTIMIZERS[schedule.optimizer](parameters, schedule.lr, schedule.weight_decay)
        history: list[dict[str, Any]] = []
        best, best_loss, best_state = 0, float("inf"), None
        with reporter.bar("train", schedule.epochs, "epochs") as bar:
            for epoch in range(1, schedule.epochs + 1):
                began = time.perf_counter()
                row: dict[str, Any] = {"epoch": epoch, "lr": schedule.lr}
                row["train_loss"], row["train_accuracy"] = self._epoch(
                    train, optimizer, schedule.batch, epoch
                )
                note = f"loss {row['train_loss']:.3f}"
                if val is not None:
                    row["val_loss"], row["val_accuracy"] = self.evaluate(*val)
                    note += f", val accuracy {100 * row['val_accuracy']:.1f}%"
                row["seconds"] = time.perf_counter() - began
                history.append(row)
                bar.advance(1, note)
                if schedule.select == "val_loss" and row["val_loss"] < best_loss:
                    best, best_loss = epoch, row["val_loss"]
                    best_state = copy.deepcopy(self.module.state_dict())
        if best_state is None:
            return history, schedule.epochs
        self.module.load_state_dict(best_state)
        return history, best

    def _epoch(
        self,
        data: tuple[torch.Tensor, torch.Tensor],
        optimizer: torch.optim.Optimizer,
        batch: int,
        epoch: int,
    ) -> tuple[float, float]:
        inputs, labels = data
        self.module.train()
        total, right = 0.0, 0
        steps = torch.randperm(len(inputs)).split(batch)
        if len(steps) > 1 and len(steps[-1]) == 1:  # batch norm cannot train on a single image
            steps = (*steps[:-2], torch.cat(steps[-2:]))
        for number, chosen in enumerate(steps, start=1):
            target = labels[chosen].to(self._device)
            logits = self.module(self._prepare(inputs[chosen]))
            loss = functional.cross_entropy(logits, target)
            if not torch.isfinite(loss):
                raise FeatbenchError(
                    f"the loss is {loss.item()} in epoch {epoch}, batch {number}: "
                    "training diverged; try a lower lr"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
            right += int((logits.argmax(1) == target).sum())
        return total / len(inputs), right / len(inputs)

    def logits(self, inputs: torch.Tensor, batch: int = 64) -> torch.Tensor:
        """Return logits (n, classes) in float32 on the CPU, in eval mode."""
        self.module.eval()
        with torch.inference_mode():
            parts = [self.module(self._prepare(part)).float().cpu() for part in inputs.split(batch)]
        return torch.cat(parts)

    def evaluate(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
        """Return mean cross-entropy and accuracy."""
        logits = self.logits(inputs)
        right = (logits.argmax(1) == labels).float().mean()
        return functional.cross_entropy(logits, labels).item(), right.item()
