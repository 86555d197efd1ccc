"""Trains a module on tensors in memory: epochs, validation, the best state."""

import functools
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from featbench.errors import UsageError
from featbench.finetune._averages import measured_anew, remember
from featbench.finetune._checkpoint import Checkpoint, DivergedError, Keeper, Underway
from featbench.finetune._history import Listener, conclude, describe
from featbench.finetune._layout import keep_layout
from featbench.finetune._objective import Objective
from featbench.finetune._room import Room, training_room
from featbench.finetune._schedule import Schedule
from featbench.finetune._training_rows import TrainingRows, given_to
from featbench.progress import Reporter
from featbench.training import BestEpoch, random_batches

Data = tuple[torch.Tensor, torch.Tensor]
TrainingData = tuple[torch.Tensor | TrainingRows, torch.Tensor]


class Trainer:
    """One module, what turns stored inputs into its own, a device, and what is minimised.

    Parameters
    ----------
    module : Module
        What is trained.
    prepare : callable
        Turns a batch of stored inputs (uint8 pixels, say) into the module's input, on the device.
    device : torch.device
        Where to train.
    objective : Objective
        How the module's outputs are read, and their loss.
    listeners : sequence of callable
        Each is given the history's new row at the end of every epoch.
    """

    def __init__(
        self,
        module: nn.Module,
        prepare: Callable[[torch.Tensor], torch.Tensor],
        device: torch.device,
        objective: Objective,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._listeners = listeners
        self.module = module.to(device).to(memory_format=torch.channels_last)
        self._prepare, self._device, self._objective = prepare, device, objective
        self._asking = Room("predicting")
        self.resumed_after = 0
        """The epoch after which an interrupted training went on."""

    def fit(
        self,
        train: TrainingData,
        val: Data | None,
        schedule: Schedule,
        groups: list[dict[str, Any]],
        reporter: Reporter,
        checkpoint: Checkpoint | None = None,
    ) -> tuple[list[dict[str, Any]], int]:
        """Train, and leave the module with the selected epoch's weights.

        Parameters
        ----------
        train, val : (inputs, labels)
            Inputs as stored and labels (n,) int64; val may be None where the schedule needs none,
            train's inputs may be others in each epoch.
        schedule : Schedule
            How to train.
        groups : list of dict
            Parameters with their learning rates, the classifier's first; nothing else changes but
            the module's buffers.
        reporter : Reporter
            Is told of every epoch.
        checkpoint : Checkpoint, optional
            Where the state is kept; what an interrupted training left there is gone on with.

        Returns
        -------
        history : list of dict
            A row an epoch: losses, accuracies, the classifier's learning rate at its last step,
            seconds.
        best : int
            The selected epoch, from 1.

        Raises
        ------
        FeatbenchError
            When the loss is no longer finite, or memory has no room for the smallest piece.
        """
        rates = [group["lr"] for group in groups]
        own = [dict(group) for group in groups]  # the caller's keep their rates: refit asks again
        optimizer = schedule.make_optimizer(own, self._device)
        best = BestEpoch(schedule.select, schedule.patience)
        self._room = training_room(self.module, reporter.say)
        self._asking = Room("predicting", say=reporter.say)
        course = Underway(self.module, optimizer, best, self._device, self._room)
        history = course.history
        keeper = Keeper(checkpoint, course, reporter)
        keeper.resume(schedule.epochs)
        self.resumed_after = len(history)
        layout = keep_layout(self.module) if self._device.type == "cpu" else nullcontext()
        with reporter.bar("train", schedule.epochs, "epochs") as bar, keeper, layout:
            bar.advance(len(history))
            while len(history) < schedule.epochs and not course.stopped:
                epoch = len(history) + 1
                began = time.perf_counter()
                row: dict[str, Any] = {"epoch": epoch}
                row |= self._epoch(train, optimizer, rates, schedule, epoch)
                if val is not None or epoch == schedule.epochs:
                    self._average(train[0], schedule.batch, epoch)
                if val is not None:
                    row["val_loss"], row["val_accuracy"] = self.evaluate(*val)
                    if not math.isfinite(row["val_loss"]):
                        raise _diverged(row["val_loss"], f"epoch {epoch}, validation", schedule)
                row["seconds"] = time.perf_counter() - began
                history.append(row)
                course.stopped = best.stops_after(row, self.module)
                keeper.after_epoch()
                bar.advance(1, describe(row))
                for told in self._listeners:
                    told(row)
                if course.stopped:
                    reporter.say(f"stopped after epoch {epoch}: {schedule.patience} without a "
                                 "better one")  # fmt: skip
        self.module.eval()
        kept = best.restore(self.module, len(history))
        if val is not None:
            for line in conclude(history, kept, schedule.select, self._comparable(val[1])):
                reporter.say(line)
        return history, kept

    def _comparable(self, labels: torch.Tensor) -> torch.Tensor | None:
        """Return labels where a loss of theirs can be compared with guessing's."""
        plain = self._objective.loss == "cross-entropy" and self._objective.weight is None
        return labels if plain else None

    def _epoch(
        self,
        data: TrainingData,
        optimizer: torch.optim.Optimizer,
        rates: list[float],
        schedule: Schedule,
        epoch: int,
    ) -> dict[str, float]:
        inputs, labels = data
        self.module.train()
        total, right = 0.0, 0
        steps = list(random_batches(len(inputs), schedule.batch))
        batches = zip(steps, given_to(inputs, steps, epoch), strict=True)
        for number, (chosen, given) in enumerate(batches):
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = schedule.rate((epoch - 1) * len(steps) + number, len(steps), lr)
            target = labels[chosen].to(self._device)
            where = f"epoch {epoch}, batch {number + 1}"
            work = functools.partial(self._backward, given, target, schedule, where)
            pieces = self._room.each(len(chosen), work, optimizer.zero_grad)
            if schedule.clip_norm is not None:
                parameters = [p for group in optimizer.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(parameters, schedule.clip_norm)
            optimizer.step()
            total += sum(loss for loss, _ in pieces)
            right += sum(count for _, count in pieces)
        return {
            "lr": optimizer.param_groups[0]["lr"],
            "train_loss": total / len(inputs),
            "train_accuracy": right / len(inputs),
        }

    def _average(self, inputs: torch.Tensor | TrainingRows, batch: int, epoch: int) -> None:
        """Measure batch norm's averages anew where it was trained for too few steps to know them.

        What is drawn for it leaves training's own random numbers as they are.
        """
        if not remember(self.module, epoch * math.ceil(len(inputs) / batch)):
            return
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(epoch))
        # of one size, for all count alike, and of a batch or more: batch norm takes no single row
        steps = order.tensor_split(max(1, len(inputs) // batch))
        with torch.inference_mode(), measured_anew(self.module):
            for given in given_to(inputs, steps, epoch):
                self._room.each(len(given), functools.partial(self._ask, given))

    def _backward(
        self,
        given: torch.Tensor,
        target: torch.Tensor,
        schedule: Schedule,
        where: str,
        piece: slice,
    ) -> tuple[float, int]:
        """Add the gradient of a piece of a batch; return its summed loss, and how many are right.

        An image counts as much as in the whole batch, whose loss is a mean over images.
        """
        try:
            with torch.autocast(self._device.type, torch.bfloat16, enabled=schedule.amp):
                outputs = self.module(self._prepare(given[piece]))
        except ValueError as error:
            if len(target[piece]) > 1:
                raise
            raise UsageError(f"{where} is a single image, of which batch norm cannot learn "
                             f"({error}); use a larger batch") from error  # fmt: skip
        scores = self._objective.scores(outputs)
        loss = self._objective(scores, target[piece], training=True)
        if not torch.isfinite(loss):
            raise _diverged(loss.item(), where, schedule)
        (loss if len(scores) == len(given) else loss * (len(scores) / len(given))).backward()
        return loss.item() * len(scores), int((scores.argmax(1) == target[piece]).sum())

    def scores(self, inputs: torch.Tensor, batch: int = 64) -> torch.Tensor:
        """Return scores (n, classes) in float32 on the CPU, in eval mode."""
        self.module.eval()
        with torch.inference_mode():
            parts = [
                scores
                for part in inputs.split(batch)
                for scores in self._asking.each(len(part), functools.partial(self._ask, part))
            ]
        return torch.cat(parts)

    def _ask(self, inputs: torch.Tensor, piece: slice) -> torch.Tensor:
        return self._objective.scores(self.module(self._prepare(inputs[piece]))).cpu()

    def probabilities(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return probabilities (n, classes) in float64 on the CPU."""
        return self._objective.probabilities(self.scores(inputs).double())

    def evaluate(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
        """Return mean loss (without smoothing) and accuracy."""
        scores = self.scores(inputs)
        right = (scores.argmax(1) == labels).float().mean()
        return self._objective(scores, labels, training=False).item(), right.item()


def _diverged(loss: float, where: str, schedule: Schedule) -> DivergedError:
    clip = "" if schedule.clip_norm is not None else ", or clip_norm=1"
    return DivergedError(
        f"the loss is {loss} in {where}: training diverged; try a lower lr (it is "
        f"{schedule.lr:g}){clip}"
    )
