"""The history of a training: a row an epoch, and who is told of it."""

from collections.abc import Callable, Mapping
from typing import Any

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
