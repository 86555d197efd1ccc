"""Which classes are taken for which: all of them at a glance, and the most frequent by name."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from featbench.experiments import PredictionTable
from featbench.report._drawing import COLOURS, isolated, new_figure, shorten, styled

_COUNTED = 12  # classes up to which every cell has its count
_NAMED = 60  # classes up to which every class has its name
_LISTED = 20  # confusions in the list
_NAME = 26  # characters of a class's name


class Mistake(NamedTuple):
    """One class taken for another.

    Parameters
    ----------
    label, predicted : str
        The true class, and the answer.
    times, images : int
        How often, of how many images of that class.
    """

    label: str
    predicted: str
    times: int
    images: int


@dataclass(frozen=True)
class Confusion:
    """Counts of each class's answers.

    Parameters
    ----------
    classes : tuple of str
        Those that occur among labels or answers, numbers in their order.
    counts : ndarray of int64, shape (n_classes, n_classes)
        A row a true class, a column an answer.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Each row's share of its class; zeros for a class without images."""
        images = self.counts.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = self.counts / np.maximum(images, 1)
        return shares

    def mistakes(self) -> list[Mistake]:
        """Return every confusion that happened, the most frequent first, then by share."""
        images = self.counts.sum(axis=1).tolist()
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        found = [
            Mistake(self.classes[i], self.classes[j], int(wrong[i, j]), images[i])
            for i, j in np.argwhere(wrong).tolist()
        ]
        return sorted(found, key=lambda m: (-m.times, m.images, m.label, m.predicted))


def confusion_of(table: PredictionTable) -> Confusion:
    """Return the confusion matrix of a run's predictions.

    Parameters
    ----------
    table : PredictionTable
        As ``load_predictions`` returns it.

    Returns
    -------
    Confusion
    """
    classes = sorted({*table.labels, *table.predicted}, key=_natural)
    place = {name: i for i, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    rows = [place[name] for name in table.labels]
    np.add.at(counts, (rows, [place[name] for name in table.predicted]), 1)
    return Confusion(tuple(classes), counts)


def _natural(name: str) -> tuple[list[tuple[int, int | str]], str]:
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part)) if part[0] in "0123456789" else (1, part) for part in parts], name


@styled
def draw_confusion(confusion: Confusion, title: str = "") -> Figure:
    """Draw a confusion matrix as a heat map.

    Parameters
    ----------
    confusion : Confusion
        Of any number of classes.
    title : str
        The run's name.

    Returns
    -------
    Figure
        Shares of the true class, darker for more. Counts in the cells up to 12 classes; names at
        the edges up to 60, and none beyond, where they could not be read; over 12 classes the
        most frequent confusions are listed by name beside the map.
    """
    n = len(confusion.classes)
    side = {True: 1.6 + 0.55 * n, False: max(6.0, 0.155 * n)}[n <= _COUNTED]
    side = side if n <= _NAMED else 6.2
    margin = 0.075 * min(_NAME, max(map(len, confusion.classes))) if n <= _NAMED else 0.3
    mistakes = confusion.mistakes()[:_LISTED] if n > _COUNTED else []
    listed = 5.6 if mistakes else 0.0
    figure = new_figure(side + margin + 0.9 + listed, side + margin + 0.9, of_squares=not mistakes)
    if mistakes:
        panels = figure.subplots(1, 2, width_ratios=[side + margin, listed])
        axes = panels[0]
        _list(panels[1], mistakes)
    else:
        axes = figure.add_subplot()
    _map(figure, axes, confusion)
    if title:
        figure.suptitle(
            textwrap.fill(shorten(title, 200), int(11 * figure.get_figwidth())), fontsize=11
        )
    return figure


def _map(figure: Figure, axes: Axes, confusion: Confusion) -> None:
    n = len(confusion.classes)
    axes.grid(visible=False)
    axes.spines[:].set_visible(True)
    shown = axes.imshow(
        confusion.shares,
        cmap="Blues",
        norm=PowerNorm(0.5, 0, 1),
        interpolation="none",
        aspect="equal" if n <= _COUNTED else "auto",  # which can be laid out exactly
    )
    bar = figure.colorbar(
        shown, ax=axes, shrink=0.6, aspect=30, pad=0.02, format=PercentFormatter(1, decimals=0)
    )
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1])
    bar.set_label("share of the true class")
    bar.ax.grid(visible=False)
    if n <= _NAMED:
        size = 9 if n <= _COUNTED else 7
        names = [isolated(shorten(name, _NAME)) for name in confusion.classes]
        short = n <= _COUNTED and max(map(len, confusion.classes)) <= (4 if n > 3 else 9)
        axes.set_xticks(range(n), names, fontsize=size, rotation=0 if short else 90)
        axes.set_yticks(range(n), names, fontsize=size)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(f"predicted ({n} classes, in the order of their names)")
        axes.set_ylabel(f"true ({n} classes, the first on top)")
    if n > _COUNTED:
        return
    for i, j in np.argwhere(confusion.counts).tolist():
        dark = confusion.shares[i, j] > 0.3
        axes.text(j, i, str(confusion.counts[i, j]), ha="center", va="center", fontsize=8.5,
                  color="white" if dark else "#222222")  # fmt: skip


def _list(axes: Axes, mistakes: Sequence[Mistake]) -> None:
    """Write the confusions under each other, a bar for how often each happened."""
    rows = range(len(mistakes))
    most = max(m.times for m in mistakes)
    axes.barh(rows, [m.times for m in mistakes], height=0.36, color=COLOURS[0], align="edge")
    for row, one in enumerate(mistakes):
        names = [isolated(shorten(name, _NAME)) for name in (one.label, one.predicted)]
        axes.text(0, row - 0.06, " → ".join(names), va="bottom", fontsize=8)
        axes.text(one.times + 0.015 * most, row + 0.18, f"{one.times} of {one.images}",
                  va="center", fontsize=8)  # fmt: skip
    axes.set_ylim(len(mistakes) - 0.3, -0.7)
    axes.set_xlim(0, 1.25 * most)
    axes.set_title("most frequent confusions (true → predicted)", fontsize=9.5, loc="left")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
