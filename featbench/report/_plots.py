"""Bars of test accuracy."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from featbench.experiments import Result
from featbench.report._drawing import COLOURS, new_figure, styled
from featbench.report._names import label_of
from featbench.statistics import wilson_interval


@styled
def accuracy_bars(results: Sequence[Result]) -> Figure:
    """Draw test accuracy with its 95% interval, a bar a run, the best on top."""
    shown = sorted(
        (r for r in results if r.test_accuracy is not None), key=lambda r: r.test_accuracy or 0.0
    )
    weights = list(dict.fromkeys((r.network, r.weights) for r in results))
    figure = new_figure(9.0, 1.0 + 0.3 * len(shown))
    axes = figure.add_subplot()
    axes.grid(visible=False, axis="y")
    for row, result in enumerate(shown):
        accuracy = result.test_accuracy or 0.0
        low, high = wilson_interval(accuracy, result.n_test)
        colour = COLOURS[weights.index((result.network, result.weights)) % len(COLOURS)]
        axes.barh(row, 100 * accuracy, color=colour, height=0.7)
        axes.errorbar(
            100 * accuracy,
            row,
            xerr=[[100 * (accuracy - low)], [100 * (high - accuracy)]],
            fmt="none",
            ecolor="#333333",
            capsize=2.5,
            linewidth=1,
        )
        axes.text(102, row, f"{100 * accuracy:.1f}", va="center")
    axes.set_yticks(range(len(shown)), [label_of(r) for r in shown])
    axes.set_xlim(0, 100)
    axes.set_xlabel("test accuracy (%) with 95% Wilson interval")
    return figure
