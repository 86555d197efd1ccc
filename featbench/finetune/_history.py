"""The history of a training: a row an epoch, and who is told of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

Listener = Callable[[Mapping[str, Any]], object]
"""Is given each epoch's row when the epoch is done.

A row has ``epoch`` (from 1), ``lr`` (the classifier's at the last step), ``train_loss``,
``train_accuracy`` (both while training, a fraction), ``val_loss``, ``val_accuracy`` (where there
are validation images) and ``seconds``.
"""


_ORDER = ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds")


def in_order(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an epoch's row with its columns as a training writes them, whatever theirs is."""
    return {name: row[name] for name in _ORDER if name in row}


def describe(row: Mapping[str, Any]) -> str:
    """Return an epoch's row in some forty characters, to stand beside a progress bar."""
    text = f"loss {row['train_loss']:.3f}"
    if "val_loss" in row:
        text += f", val {row['val_loss']:.3f} {100 * row['val_accuracy']:.1f}%"
    else:
        text += f" {100 * row['train_accuracy']:.1f}%"
    return f"{text}, lr {row['lr']:.3g}"


def conclude(
    history: Sequence[Mapping[str, Any]], best: int, select: str, labels: torch.Tensor | None
) -> Iterator[str]:
    """Yield which epoch was kept where one was chosen, and whether it beats guessing.

    Parameters
    ----------
    history : sequence of mapping
        A row an epoch, with validation.
    best : int
        The epoch that was kept, from 1.
    select : str
        As in ``Schedule``.
    labels : Tensor of int64, shape (n,), optional
        Of the validation images, where their loss is cross-entropy and all count the same: who
        always says how frequent each class is has their labels' entropy as loss, in nats. Of images
        of one class nothing is said.
    """
    row = history[best - 1]
    loss, accuracy = row["val_loss"], f"{100 * row['val_accuracy']:.1f}%"
    if select != "last":
        why = f"lowest validation loss, {loss:.3g}; {accuracy} right"
        if select == "val_accuracy":
            why = f"highest validation accuracy, {accuracy}; loss {loss:.3g}"
        yield f"epoch {best} of {len(history)} kept ({why})"
    if labels is None:
        return
    shares = torch.bincount(labels).double() / len(labels)
    guessing = torch.distributions.Categorical(shares).entropy().item()
    if shares.max() == 1 or loss <= guessing:
        return
    if row["val_accuracy"] <= shares.max():
        yield (f"that is no better than guessing, whose loss is {guessing:.3g} and which has "
               f"{100 * shares.max():.1f}% right: try a lower lr, or more epochs")  # fmt: skip
    else:
        yield (f"validation loss is above guessing's, {guessing:.3g}, though {accuracy} are right: "
               "it is far too sure of its answers")  # fmt: skip
