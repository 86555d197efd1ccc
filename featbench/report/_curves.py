"""Training curves: loss and accuracy over epochs, of one run or of several, overlaid."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from featbench.experiments import Result
from featbench.report._drawing import COLOURS, MARKERS, new_figure, plain_number, shorten, styled
from featbench.report._names import labels_among

_MARKS = 6  # markers on a curve: enough to follow it in greyscale
_COLUMN = 52  # characters of a legend's column
_WIDE = 20.0  # from this ratio of the largest to the smallest loss on, a log scale

_LOSSES = {"cross-entropy": "loss (cross-entropy, nats)", "mse": "loss (mean squared error)"}


@dataclass(frozen=True)
class Curve:
    """One run's history.

    Parameters
    ----------
    label : str
        What the legend calls it.
    history : DataFrame
        A row an epoch: ``epoch``, ``train_loss``, ``train_accuracy`` and, where there was
        validation, ``val_loss``, ``val_accuracy``; accuracies are fractions.
    best_epoch : int, optional
        The epoch whose weights were kept.
    loss : str
        What was minimised: ``cross-entropy`` or ``mse``.
    """

    label: str
    history: pd.DataFrame
    best_epoch: int | None = None
    loss: str = "cross-entropy"


def curves_of(trained: Sequence[tuple[Result, pd.DataFrame]]) -> list[Curve]:
    """Return runs with their histories as curves, named by what tells them apart."""
    labels = labels_among([result for result, _ in trained])
    return [
        Curve(label, history, r.best_epoch, r.settings.get("loss", "cross-entropy"))
        for label, (r, history) in zip(labels, trained, strict=True)
    ]


@styled
def draw_curves(curves: Sequence[Curve]) -> Figure:
    """Draw loss and accuracy over epochs.

    Parameters
    ----------
    curves : sequence of Curve
        At least one.

    Returns
    -------
    Figure
        Two panels: training thin and dashed, validation thick and solid, a ring around the epoch
        whose weights were kept; a colour and a marker for each run.
    """
    names = [shorten(c.label, 400) for c in curves]
    columns = 2 if len(curves) > 1 and all(len(name) <= _COLUMN for name in names) else 1
    labels = [textwrap.fill(name, _COLUMN if columns == 2 else 2 * _COLUMN) for name in names]
    lines = -(-sum(1 + label.count("\n") for label in labels) // columns)
    figure = new_figure(9.0, 4.0 + 0.21 * lines)
    losses, accuracies = figure.subplots(1, 2)
    for number, curve in enumerate(curves):
        look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        _draw(losses, curve, "loss", 1, look, number)
        _draw(accuracies, curve, "accuracy", 100, look, number)
    kinds = {curve.loss for curve in curves}
    losses.set_ylabel(_LOSSES[kinds.pop()] if len(kinds) == 1 else "loss (of more than one kind)")
    accuracies.set_ylabel("accuracy (%)")
    values = pd.concat([c.history.filter(regex="^(train|val)_loss$") for c in curves]).stack()
    if values.min() > 0 and values.max() / values.min() > _WIDE:
        losses.set_yscale("log")
        losses.yaxis.set_major_formatter(plain_number)
        losses.yaxis.set_minor_formatter(NullFormatter())
    for axes in (losses, accuracies):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    runs = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
               markersize=5, linewidth=1.8, label=label)
        for i, label in enumerate(labels)
    ]  # fmt: skip
    figure.legend(handles=runs, loc="outside lower center", ncols=columns, frameon=False)
    figure.legend(handles=_key(curves), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _draw(
    axes: Axes, curve: Curve, value: str, scale: float, look: dict[str, Any], number: int
) -> None:
    """Draw one run in one panel; its markers stand apart from the runs' before it."""
    history, epochs = curve.history, curve.history["epoch"]
    every = max(1, len(history) // _MARKS)
    thin = {**look, "linewidth": 1.0, "linestyle": (0, (4, 2)), "marker": None}
    axes.plot(epochs, scale * history[f"train_{value}"], **thin)
    shown = f"val_{value}"
    if shown not in history or history[shown].isna().all():
        shown = f"train_{value}"  # so that the run has its markers
        look = {**look, "linestyle": "none"}
    places = (number % every, every)
    axes.plot(epochs, scale * history[shown], **look, linewidth=1.8, markersize=5, markevery=places)
    best = history[epochs == curve.best_epoch]
    if len(best):
        ring: dict[str, Any] = {
            "marker": "o",
            "markersize": 12,
            "markerfacecolor": "none",
            "markeredgewidth": 1.6,
        }
        axes.plot(best["epoch"], scale * best[shown], color=look["color"], **ring)


def _key(curves: Sequence[Curve]) -> list[Line2D]:
    """Return what explains the lines' kinds."""
    grey: dict[str, Any] = {"color": "#555555"}
    key = [Line2D([], [], linewidth=1.0, linestyle=(0, (4, 2)), label="training", **grey)]
    if any("val_loss" in curve.history for curve in curves):
        key.append(Line2D([], [], linewidth=1.8, label="validation", **grey))
    if any(curve.best_epoch is not None for curve in curves):
        key.append(Line2D([], [], linestyle="none", marker="o", markersize=10, label="epoch kept",
                          markerfacecolor="none", markeredgewidth=1.6, **grey))  # fmt: skip
    return key
