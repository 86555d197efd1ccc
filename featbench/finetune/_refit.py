"""Training anew on train and val together, when the epoch is known."""

from dataclasses import dataclass, fields, replace

import torch

from featbench.datasets import Dataset
from featbench.finetune._inputs import Inputs
from featbench.finetune._schedule import Schedule


def validation_in_train(dataset: Dataset) -> Dataset:
    """Return the data set with val's images after train's own; there is no val."""
    splits = dict(dataset.splits)
    splits["train"] = splits["train"] + splits.pop("val")
    return dataset.with_splits(splits)


def with_validation_inputs(inputs: Inputs) -> Inputs:
    """Return inputs whose train split has val's images too, where each is trained on as it is."""
    tensors = dict(inputs.tensors)
    tensors["train"] = torch.cat([tensors["train"], tensors.pop("val")])
    return replace(inputs, dataset=validation_in_train(inputs.dataset), tensors=tensors)


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
