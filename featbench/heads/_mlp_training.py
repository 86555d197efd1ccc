"""How the MLP head trains: mini-batches from tensors in memory, schedules, the best epoch."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featbench.errors import FeatbenchError
from featbench.training import BestEpoch, Course, cross_entropy, is_count, is_number, random_batches

SELECT = ("last", "val_loss")
_ROWS = 4096

Data = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Training(Course):
    """How to train; the fields are explained at ``MLPHead``.

    Raises
    ------
    ValueError
        For a value that cannot be.
    """

    batch_size: int
    select: str
    stop_after: int | None
    validation_fraction: float

    def __post_init__(self) -> None:
        if problem := self.problem():
            raise ValueError(problem)

    def rules(self) -> dict[str, tuple[bool, str]]:
        """Return for each setting whether it can be, and what is expected."""
        return super().rules() | {
            "batch_size": (is_count(self.batch_size), "a whole number from 1 up"),
            "select": (self.select in SELECT, ", ".join(SELECT)),
            "stop_after": (
                self.stop_after is None or is_count(self.stop_after), "a whole number from 1 up"
            ),
            "validation_fraction": (
                is_number(self.validation_fraction, lambda v: 0 < v < 1), "a number in (0, 1)"
            ),
        }  # fmt: skip

    @property
    def needs_validation(self) -> bool:
        """Whether something is chosen on validation rows."""
        return self.select == "val_loss" or self.patience is not None


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
    optimizer = how.make_optimizer(module.parameters())
    history: list[dict[str, Any]] = []
    best = BestEpoch(how.select, how.patience)
    for epoch in range(1, min(how.epochs, how.stop_after or how.epochs) + 1):
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
        if best.stops_after(row, module):
            break
    return history, best.restore(module, len(history))


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
    steps = list(random_batches(len(rows), how.batch_size))
    rate = how.lr
    for number, chosen in enumerate(steps):
        rate = how.rate(epoch * len(steps) + number, len(steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = chosen.to(rows.device)
        target = targets[chosen]
        logits = module(rows[chosen])
        loss = cross_entropy(logits, target, class_weight, how.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(chosen)
        right += (logits.detach().argmax(dim=1) == target).sum()
    return float(total) / len(rows), int(right) / len(rows), rate


def _evaluate(
    module: nn.Module, data: Data, class_weight: torch.Tensor | None
) -> tuple[float, float]:
    """Return loss (no smoothing) and accuracy."""
    module.eval()
    rows, targets = data
    with torch.no_grad():
        logits = torch.cat([module(part) for part in rows.split(_ROWS)])
        right = (logits.argmax(dim=1) == targets).float().mean()
        return float(cross_entropy(logits, targets, class_weight, 0.0)), float(right)


def hold_out(
    targets: NDArray[np.int64],
    fraction: float,
    rng: np.random.RandomState,
    groups: NDArray[Any] | None = None,
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
    groups : ndarray, shape (n,), optional
        Whole groups are held out then, about that share of all rows; a class keeps one.

    Raises
    ------
    ValueError
        When no class has a second row, or group.
    """
    if groups is not None:
        out = _whole_groups(targets, fraction, rng, groups)
        return np.flatnonzero(~out), np.flatnonzero(out)
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


def _whole_groups(
    targets: NDArray[np.int64], fraction: float, rng: np.random.RandomState, groups: NDArray[Any]
) -> NDArray[np.bool_]:
    """Take groups in random order while they fit and every class keeps a row."""
    _, group = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group, kind="stable"), np.bincount(group).cumsum()[:-1])
    left, out = np.bincount(targets), np.zeros(len(targets), dtype=bool)
    room = max(round(fraction * len(targets)), 1)
    for rows in (members[one] for one in rng.permutation(len(members))):
        taken = np.bincount(targets[rows], minlength=len(left))
        fits = not out.any() or out.sum() + len(rows) <= room  # the first one may be too large
        if fits and (left > taken)[taken > 0].all():
            left, out[rows] = left - taken, True
    if not out.any():
        raise ValueError(
            "no class has a group to spare for validation: give more groups, or select='last' and "
            "patience=None"
        )
    return out
