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


def with_validation_inputs(inputs: Inputs, more: Inputs | None = None) -> Inputs:
    """Return inputs whose train split has val's images too.

    Parameters
    ----------
    inputs : Inputs
        With val.
    more : Inputs, optional
        Val's images as training rows, where these are other than the images as they are.
    """
    tensors, costs, training = dict(inputs.tensors), inputs.costs, inputs.training
    added = tensors.pop("val")
    if more is not None:
        assert training is not None
        assert more.training is not None
        added, training = more.tensors["train"], training + more.training
        costs = {name: value if isinstance(value, str) else value + more.costs[name]
                 for name, value in costs.items()}  # fmt: skip
    own = tensors["train"]
    tensors["train"] = torch.cat([own, added]) if isinstance(own, torch.Tensor) else own + added
    dataset = validation_in_train(inputs.dataset)
    return replace(inputs, dataset=dataset, tensors=tensors, costs=costs, training=training)


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
