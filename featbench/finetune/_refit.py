"""Training anew on train and val together, when the epoch is known."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from featbench.datasets import Dataset
from featbench.finetune._checkpoint import Checkpoint, DivergedError
from featbench.finetune._inputs import Costs, Inputs, together
from featbench.finetune._schedule import Schedule
from featbench.finetune._training_rows import TrainingRows


def validation_in_train(dataset: Dataset) -> Dataset:
    """Return the data set with val's images after train's own; there is no val."""
    splits = dict(dataset.splits)
    splits["train"] = splits["train"] + splits.pop("val")
    return dataset.with_splits(splits)


def with_validation_inputs(
    inputs: Inputs, training: TrainingRows | None = None, costs: Costs | None = None,
    pictures: Any = None,
) -> Inputs:  # fmt: skip
    """Return inputs whose train split has val's images too.

    Parameters
    ----------
    inputs : Inputs
        With val.
    training : TrainingRows, optional
        Val's images as training rows, where these are other than the images as they are.
    costs : dict, optional
        What those rows took.
    pictures : Pictures or Undecoded, optional
        Val's images in the form that those of train have, where that is not val's own.
    """
    tensors = dict(inputs.tensors)
    added = tensors.pop("val")
    added = added if pictures is None else pictures
    own = tensors["train"]
    tensors["train"] = torch.cat([own, added]) if isinstance(own, torch.Tensor) else own + added
    rows: Any = inputs.training
    return replace(
        inputs,
        dataset=validation_in_train(inputs.dataset),
        tensors=tensors,
        costs=together(inputs.costs, costs or {}),
        training=rows if training is None else rows + training,
    )


@contextlib.contextmanager
def training_anew(checkpoint: Checkpoint | None) -> Iterator[None]:
    """Say of a loss that diverges inside that it was this training's; nothing stays of either.

    The same start, images and rates would diverge again: what is kept of the first training would
    lie there for good.

    Parameters
    ----------
    checkpoint : Checkpoint, optional
        The first training's, which that of this one is within.
    """
    try:
        yield
    except DivergedError as error:
        if checkpoint is not None:
            checkpoint.remove()
        raise DivergedError(f"refit, training anew on train and val: {error}") from error


@dataclass(frozen=True, kw_only=True)
class _CutShort(Schedule):
    """The first epochs of a longer course: rates are those of the whole."""

    course: Schedule

    def rate(self, step: int, steps_per_epoch: int, lr: float | None = None) -> float:
        return self.course.rate(step, steps_per_epoch, lr)


def first_epochs(schedule: Schedule, epochs: int) -> Schedule:
    """Return the schedule's first epochs, of which the last is kept; nothing is held out."""
    settings = {one.name: getattr(schedule, one.name) for one in fields(Schedule)}
    settings |= {"epochs": epochs, "select": "last", "patience": None, "refit": False}
    settings["warmup_epochs"] = min(schedule.warmup_epochs, epochs)  # rates are the course's
    return _CutShort(**settings, course=schedule)
