"""Accuracy against cost: which methods no other one beats in both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from featbench.errors import UsageError
from featbench.experiments import Result, method_key
from featbench.report._comparison import task_of
from featbench.report._drawing import (
    COLOURS,
    MARKERS,
    isolated,
    new_figure,
    plain_number,
    shorten,
    styled,
)
from featbench.report._names import labels_among, network_name, sample_name
from featbench.report._placing import place_labels
from featbench.report._rows import heading_of


@dataclass(frozen=True)
class _Cost:
    heading: str
    less_is_better: bool
    said: str


COSTS = {
    "images_per_second": _Cost("images a second, from file to label, nothing cached", False,
                               "{:,.0f} images/s"),
    "fit_seconds": _Cost("fitting (s)", True, "{:,.3g} s"),
    "parameters_trainable": _Cost("trained parameters", True, "{:,.0f} parameters"),
}  # fmt: skip
"""What accuracy can be drawn against, by the field of ``Result``."""


@dataclass(frozen=True)
class Costed:
    """A method's accuracy and cost.

    Parameters
    ----------
    result : Result
        One of its runs.
    accuracy, cost : float
        Means over its runs (its seeds); the accuracy is a fraction.
    label : str
        Its name beside the others.
    """

    result: Result
    accuracy: float
    cost: float
    label: str = ""


def costed(results: Sequence[Result], cost: str) -> list[Costed]:
    """Return the methods of one data set with their costs; those without it are left out.

    Parameters
    ----------
    results : sequence of Result
        Of one data set.
    cost : str
        A key of ``COSTS``.

    Raises
    ------
    UsageError
        For another cost.
    """
    if cost not in COSTS:
        raise UsageError(f"cost {cost!r}: expected {', '.join(COSTS)}")
    methods: dict[str, list[Result]] = {}
    for r in results:
        if r.status == "ok" and r.test_accuracy is not None and (getattr(r, cost) or 0) > 0:
            methods.setdefault(method_key(r), []).append(r)
    first = [runs[0] for runs in methods.values()]
    return [
        Costed(
            runs[0],
            float(np.mean([r.test_accuracy for r in runs])),
            float(np.mean([getattr(r, cost) for r in runs])),
            label,
        )
        for runs, label in zip(methods.values(), labels_among(first) if first else (), strict=True)
    ]


def pareto_front(methods: Sequence[Costed], *, less_is_better: bool) -> list[Costed]:
    """Return the methods that no other one beats in accuracy without costing more.

    Parameters
    ----------
    methods : sequence of Costed
        All there are.
    less_is_better : bool
        Whether the cost is one (seconds), or the opposite of one (images a second).

    Returns
    -------
    list of Costed
        The most accurate first.
    """
    sign = 1 if less_is_better else -1
    front: list[Costed] = []
    for one in sorted(methods, key=lambda m: (-m.accuracy, sign * m.cost)):
        if not front or sign * one.cost < sign * front[-1].cost:
            front.append(one)
    return front


@styled
def draw_speed(results: Sequence[Result], cost: str = "images_per_second") -> Figure:
    """Draw test accuracy against a cost, with the Pareto front.

    Parameters
    ----------
    results : sequence of Result
        A panel for what can be compared: a data set, and the size of the training set where it was
        drawn.
    cost : str
        A key of ``COSTS``: ``images_per_second``, ``fit_seconds`` or ``parameters_trainable``.

    Returns
    -------
    Figure
        A point for each method (runs that differ by their seed are one), a colour and a marker
        for each network; those on the front are numbered, and named below.

    Raises
    ------
    UsageError
        For another cost, or when no result has it.
    """
    by_task: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        by_task.setdefault(task_of(r), []).append(r)
    panels = [found for same in by_task.values() if (found := costed(same, cost))]
    if not panels:
        raise UsageError(f"no result has {cost}: nothing to draw; other costs: "
                         f"{', '.join(c for c in COSTS if c != cost)}")  # fmt: skip
    networks = list(dict.fromkeys(network_name(m.result) for ms in panels for m in ms))
    looks = {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)])
             for i, name in enumerate(networks)}  # fmt: skip
    fronts = [pareto_front(ms, less_is_better=COSTS[cost].less_is_better) for ms in panels]
    heights = [3.6 + 0.2 * len(front) for front in fronts]
    figure = new_figure(8.0, sum(heights) + 0.6 + 0.22 * -(-len(networks) // 2))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, methods, front in zip(axes, panels, fronts, strict=True):
        _panel(panel, methods, front, cost, looks)
        if len(panels) > 1:
            first = methods[0].result
            heading = heading_of(first.dataset, sample_name(first.sample))
            panel.set_title(shorten(heading, 80), fontsize=10, loc="left")
    keys = [Line2D([], [], linestyle="none", marker=m, color=c, label=shorten(name, 50))
            for name, (c, m) in looks.items()]  # fmt: skip
    keys.append(Line2D([], [], color="#777777", linewidth=1.2, label="Pareto front"))
    figure.legend(handles=keys, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    for panel, methods, front in zip(axes, panels, fronts, strict=True):
        figure.draw_without_rendering()  # the layout moves the axes
        spots = panel.transData.transform([(m.cost, 100 * m.accuracy) for m in methods])
        taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
        place_labels(panel, [(m.cost, 100 * m.accuracy) for m in front],
                     [str(i) for i in range(1, len(front) + 1)], taken=taken,
                     fontsize=9)  # fmt: skip
    return figure


def _panel(
    axes: Axes,
    methods: Sequence[Costed],
    front: Sequence[Costed],
    cost: str,
    looks: dict[str, tuple[str, str]],
) -> None:
    kind = COSTS[cost]
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    costs = [m.cost for m in methods]
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    if max(costs) / min(costs) < 3:  # may lie between two of these
        axes.xaxis.set_minor_formatter(FuncFormatter(plain_number))
        axes.tick_params(axis="x", which="minor", labelsize=8)
    else:
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.step([m.cost for m in front], [100 * m.accuracy for m in front], color="#777777",
              linewidth=1.2, where="pre", zorder=1)  # fmt: skip
    for method in methods:
        colour, marker = looks[network_name(method.result)]
        on_front = any(method is one for one in front)
        axes.plot(method.cost, 100 * method.accuracy, linestyle="none", marker=marker,
                  markersize=7, color=colour, markeredgecolor=colour, alpha=1 if on_front else 0.75,
                  markerfacecolor=colour if on_front else "none", zorder=2)  # fmt: skip
    axes.margins(0.08, 0.1)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -1), min(high, 101))  # no accuracy is beyond
    axes.set_ylabel("test accuracy (%)")
    names = [isolated(shorten(method.label, 88)) for method in front]
    lines = [
        f"{i}  {100 * m.accuracy:.1f}%, {kind.said.format(m.cost)}: {name}"
        for i, (m, name) in enumerate(zip(front, names, strict=True), 1)
    ]
    axes.set_xlabel("\n".join([kind.heading, "", *lines]), loc="left", fontsize=9)
