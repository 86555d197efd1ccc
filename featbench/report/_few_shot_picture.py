"""Few-shot curves: accuracy against images a class, and where they reach an accuracy."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from featbench.errors import UsageError
from featbench.report._drawing import plain_number, shorten, styled
from featbench.report._few_shots import NO_FEW_SHOTS, FewShotCurve
from featbench.report._labels_table import said
from featbench.report._lines import MOST, Legend, error_bar, key_above, look
from featbench.statistics import t_interval

_APART = 0.022  # how far lines are set apart, in the size's natural logarithm,
_MOST_APART = 0.25  # of the smallest step between two sizes all of them together
_TICKS = 16


@styled
def draw_few_shots(curves: Sequence[FewShotCurve], target: float | None = None) -> Figure:
    """Draw mean accuracy over draws against images a class.

    Parameters
    ----------
    curves : sequence of FewShotCurve
        A panel for each data set among them; of one data set's many curves the 40 that are best
        at their largest size.
    target : float, optional
        An accuracy, a fraction: where each curve reaches it is marked, and said with its interval.

    Returns
    -------
    Figure
        A line for each method with the 95% t interval of its mean over draws; points of one size
        stand a little apart, so that intervals do not cover each other.

    Raises
    ------
    UsageError
        When there is no curve.
    """
    if not curves:
        raise UsageError(NO_FEW_SHOTS)
    panels: dict[str, list[FewShotCurve]] = {}
    for curve in sorted(curves, key=lambda c: -float(c.means[-1])):
        panels.setdefault(curve.dataset, []).append(curve)
    shown = {name: found[:MOST] for name, found in panels.items()}
    labels = list(dict.fromkeys(curve.label for found in shown.values() for curve in found))
    after = [""] * len(labels)
    if target is not None and len(shown) == 1:
        (only,) = shown.values()
        after = [f": {said(curve, target)}" for curve in only]
        labels = [curve.label for curve in only]
    legend = Legend.of(labels, after)
    heights = [3.7 + 0.06 * len(found) for found in shown.values()]
    figure = legend.figure(sum(heights))
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (name, found) in zip(axes, shown.items(), strict=True):
        numbers = [labels.index(curve.label) for curve in found]
        _panel(panel, found, numbers, target)
        of = f", the best {MOST} of {len(panels[name])}" if len(found) < len(panels[name]) else ""
        panel.set_title(f"{shorten(name, 80)}{of}", fontsize=10, loc="left")
    legend.draw(figure)
    key_above(figure, _key(curves, target))
    return figure


def _panel(
    axes: Axes, curves: Sequence[FewShotCurve], numbers: Sequence[int], target: float | None
) -> None:
    sizes = sorted({k for curve in curves for k in curve.shots})
    steps = np.diff(np.log(sizes))
    room = _MOST_APART * float(steps.min()) if len(steps) else 1.0
    spread = min(_APART * (len(curves) - 1), room) / 2
    apart = np.exp(np.linspace(-spread, spread, len(curves)))
    if target is not None:
        axes.axhline(100 * target, color="#777777", linewidth=1.0, linestyle=(0, (6, 3)), zorder=1)
    for curve, number, shift in zip(curves, numbers, apart, strict=True):
        style = look(number)
        at = np.array(curve.shots) * shift
        axes.plot(at, 100 * curve.means, **style)
        if len(curve.draws) > 1:
            for x, values in zip(at, curve.accuracies, strict=True):
                low, high = t_interval(values)
                error_bar(axes, x, 100 * max(low, 0.0), 100 * min(high, 1.0), style["color"])
        if target is None:
            continue
        found = curve.needed(target)
        if found.count is not None and not found.at_most:
            axes.plot(found.count * shift, 100 * target, marker="o", markersize=9, zorder=4,
                      markerfacecolor="none", markeredgecolor=style["color"],
                      markeredgewidth=1.6, linestyle="none")  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_ticks(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    axes.set_xlabel("images a class")
    axes.set_ylabel("test accuracy (%)")


def _ticks(sizes: Sequence[int]) -> list[int]:
    """Return the sizes that have room for their number."""
    room = np.log(sizes[-1] / sizes[0]) / _TICKS
    kept = [sizes[0]]
    for size in sizes[1:]:
        if np.log(size / kept[-1]) > room:
            kept.append(size)
    return kept


def _key(curves: Sequence[FewShotCurve], target: float | None) -> list[Line2D]:
    draws = sorted({len(curve.draws) for curve in curves})
    key = []
    if draws[-1] > 1:
        count = f"{draws[0]}" if len(draws) == 1 else f"{draws[0]} to {draws[-1]}"
        key.append(Line2D([], [], color="#555555", linewidth=1.2, marker="|", markersize=11,
                          label=f"mean over {count} draws and its 95% interval"))  # fmt: skip
    if target is not None:
        one = len({curve.dataset for curve in curves}) == 1
        told = ": images a class (95% interval)" if one else ""
        key.append(Line2D([], [], color="#777777", linewidth=1.0, linestyle=(0, (6, 3)), marker="o",
                          markersize=9, markerfacecolor="white", markeredgewidth=1.6,
                          label=f"reaches {100 * target:g}%{told}"))  # fmt: skip
    return key
