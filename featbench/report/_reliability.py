"""Calibration: what was right among the images answered with a given confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from featbench.experiments import PredictionTable, Result
from featbench.report._drawing import COLOURS, MARKERS, isolated, new_figure, shorten, styled
from featbench.report._names import labels_among
from featbench.statistics import wilson_interval

BINS = 15
"""As many as the results' calibration errors have (Guo et al. 2017)."""
_WITH_INTERVALS = 3  # lines up to which each point has its interval


@dataclass(frozen=True)
class Reliability:
    """How confident answers were, and how often right.

    Parameters
    ----------
    confidence, accuracy : ndarray of float64, shape (n_bins,)
        Means of the images in each bin that has any.
    counts : ndarray of int64, shape (n_bins,)
        Images in each of them.
    edges : ndarray of float64, shape (n_bins,)
        Where each of them begins.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]
    edges: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error, a fraction: gaps weighted by their images."""
        gaps = np.abs(self.confidence - self.accuracy)
        return float((gaps * self.counts).sum() / self.counts.sum())


@dataclass(frozen=True)
class ReliabilityLine:
    """One run in the diagram.

    Parameters
    ----------
    label : str
        What the legend calls it.
    after : Reliability
        Of its confidences.
    before : Reliability, optional
        Of those before calibration, where there was one.
    """

    label: str
    after: Reliability
    before: Reliability | None = None


def reliability(confidences: ArrayLike, right: ArrayLike) -> Reliability:
    """Return confidence and accuracy by bins of equal width.

    Parameters
    ----------
    confidences : array-like, shape (n,)
        The probability of each predicted class.
    right : array-like of bool, shape (n,)
        Whether the prediction is the label.
    """
    chance, is_right = np.asarray(confidences, dtype=np.float64), np.asarray(right)
    bins = np.clip(np.ceil(chance * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    sums = [np.bincount(bins, values, BINS)[filled] for values in (chance, is_right)]
    n = counts[filled]
    return Reliability(sums[0] / n, sums[1] / n, n, np.flatnonzero(filled) / BINS)


def reliability_lines(runs: Sequence[tuple[Result, PredictionTable]]) -> list[ReliabilityLine]:
    """Return runs as lines of one diagram, named by what tells them apart.

    Parameters
    ----------
    runs : sequence of (Result, PredictionTable)
        Those that have confidences; others are left out.
    """
    shown = [(result, table) for result, table in runs if table.confidences is not None]
    labels = labels_among([result for result, _ in shown]) if shown else []
    lines = []
    for label, (_, table) in zip(labels, shown, strict=True):
        right = [a == b for a, b in zip(table.labels, table.predicted, strict=True)]
        assert table.confidences is not None
        before = None if table.uncalibrated is None else reliability(table.uncalibrated, right)
        lines.append(ReliabilityLine(label, reliability(table.confidences, right), before))
    return lines


@styled
def draw_reliability(lines: Sequence[ReliabilityLine]) -> Figure:
    """Draw a reliability diagram: accuracy against confidence, and below it who was how sure.

    Parameters
    ----------
    lines : sequence of ReliabilityLine
        At least one.

    Returns
    -------
    Figure
        A colour and a marker for each run; dashed and hollow what it was before calibration. Up
        to three runs have 95% Wilson intervals. On the diagonal confidence is accuracy.
    """
    rows = sum(1 + (line.before is not None) for line in lines)
    figure = new_figure(6.4, 6.6 + 0.2 * rows)
    diagram, histogram = figure.subplots(2, 1, height_ratios=[3.4, 1], sharex=True)
    diagram.plot([0, 1], [0, 1], color="#777777", linewidth=1, linestyle=(0, (1, 2)),
                 label="confidence = accuracy")  # fmt: skip
    for number, line in enumerate(lines):
        _draw(diagram, histogram, line, number, with_intervals=len(lines) <= _WITH_INTERVALS)
    diagram.set_xlim(0, 1.01)
    diagram.set_ylim(0, 1.01)
    diagram.set_ylabel("accuracy of these images")
    histogram.set_ylabel("share of images")
    histogram.set_xlabel("confidence")
    for axis in (diagram.xaxis, diagram.yaxis, histogram.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    histogram.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", frameon=False, fontsize=8.5)
    return figure


def _draw(
    diagram: Axes, histogram: Axes, line: ReliabilityLine, number: int, *, with_intervals: bool
) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    looks: list[tuple[str, Reliability, dict[str, Any]]] = [
        ("", line.after, {"linestyle": "-", "markerfacecolor": colour}),
    ]
    if line.before is not None:
        hollow: dict[str, Any] = {"linestyle": (0, (4, 2)), "markerfacecolor": "white"}
        looks.append((", before calibration", line.before, hollow))
    for suffix, one, look in looks:
        label = f"{isolated(shorten(line.label, 70))}{suffix}: ECE {100 * one.error:.1f}%"
        diagram.plot(one.confidence, one.accuracy, color=colour, marker=marker, markersize=5.5,
                     linewidth=1.6, label=label, zorder=3, **look)  # fmt: skip
        if with_intervals and not suffix:
            ends = [wilson_interval(a, n) for a, n in zip(one.accuracy, one.counts, strict=True)]
            lows, highs = np.array(ends).T
            off = [np.maximum(one.accuracy - lows, 0), np.maximum(highs - one.accuracy, 0)]
            diagram.errorbar(one.confidence, one.accuracy, yerr=off, fmt="none", ecolor=colour,
                             elinewidth=0.8, capsize=2, alpha=0.7)  # fmt: skip
        shares = np.zeros(BINS)
        shares[np.rint(one.edges * BINS).astype(int)] = one.counts / one.counts.sum()
        histogram.stairs(shares, np.arange(BINS + 1) / BINS, color=colour, linewidth=1.4,
                         linestyle=look["linestyle"])  # fmt: skip
