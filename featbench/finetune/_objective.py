"""From a network's outputs to scores, loss and probabilities."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from featbench.datasets import Dataset
from featbench.finetune._schedule import Schedule
from featbench.training import cross_entropy


@dataclass(frozen=True)
class Objective:
    """What is minimised, and how outputs are read.

    A single output z stands for two classes. With cross-entropy their scores are (0, z): softmax
    gives the second class the sigmoid of z, and the loss is the binary cross-entropy. With the
    squared error they are (-z, z), whose sigmoids are the two chances.

    Parameters
    ----------
    loss : str
        ``cross-entropy`` or ``mse``, as in ``Schedule``.
    weight : Tensor, shape (n_classes,), optional
        What an image of each class counts.
    smoothing : float
        Share of each target that is spread over all classes, in training.
    """

    loss: str = "cross-entropy"
    weight: torch.Tensor | None = None
    smoothing: float = 0.0

    def scores(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return scores (n, n_classes) in float32 for outputs (n, n_classes) or (n, 1)."""
        outputs = outputs.float()
        if outputs.shape[1] > 1:
            return outputs
        first = -outputs if self.loss == "mse" else torch.zeros_like(outputs)
        return torch.cat([first, outputs], dim=1)

    def __call__(
        self, scores: torch.Tensor, target: torch.Tensor, *, training: bool
    ) -> torch.Tensor:
        """Return the mean loss over images; smoothing is for training alone."""
        weight = None if self.weight is None else self.weight.to(scores.device)
        smoothing = self.smoothing if training else 0.0
        if self.loss == "cross-entropy":
            return cross_entropy(scores, target, weight, smoothing)
        classes = scores.shape[1]
        wanted = functional.one_hot(target, classes).to(scores.dtype)
        wanted = wanted * (1 - smoothing) + smoothing / classes
        losses = (scores.sigmoid() - wanted).square().mean(dim=1)
        return (losses if weight is None else losses * weight[target]).mean()

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Return probabilities (n, n_classes): softmax; with ``mse`` each sigmoid's share."""
        if self.loss == "mse":
            scores = functional.logsigmoid(scores)
        return scores.softmax(dim=1)


def balanced_weights(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return n / (classes seen · images of the class), shape (classes,); 1 where there is none."""
    counts = torch.bincount(labels, minlength=classes).double()
    seen = counts > 0
    weights = torch.ones(classes, dtype=torch.float64)
    weights[seen] = len(labels) / (seen.sum() * counts[seen])
    return weights.float()


def class_weights(
    schedule: Schedule, dataset: Dataset, labels: torch.Tensor
) -> torch.Tensor | None:
    """Return what an image of each class counts, shape (classes,); None where all count the same.

    Parameters
    ----------
    schedule : Schedule
        Its ``class_weight``.
    dataset : Dataset
        Knows the classes.
    labels : Tensor of int64, shape (n,)
        Of the training images.

    Raises
    ------
    UsageError
        For a weight of what is no class.
    """
    classes = len(dataset.classes)
    given = schedule.class_weight
    if given is None:
        return None
    if isinstance(given, str):
        return balanced_weights(labels, classes)
    weights = torch.ones(classes)
    for label, weight in dataset.by_label(given).items():
        weights[label] = weight
    return weights
