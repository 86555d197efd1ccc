"""Pictures as SVG text: accuracy bars and training curves."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from featbench.experiments import FINE_TUNE, FROM_PIXELS, Result
from featbench.statistics import wilson_interval

# Okabe and Ito's palette: told apart by colour-blind eyes, and by lightness in greyscale
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
_STYLE: Any = {
    "font.size": 10.0,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "featbench",
}


def label_of(result: Result) -> str:
    """Return a short name for a run in a picture."""
    what = result.method
    if result.cut == FROM_PIXELS:
        what = "from scratch" if result.weights == "random" else f"{what} whole"
    elif result.method == FINE_TUNE:
        what += f" {result.cut} on"
    warm = result.settings.get("warm_start")
    return f"{result.network} ({result.weights}) · {what}{f', from {warm}' if warm else ''}"


@mpl.rc_context(_STYLE)
def accuracy_bars(results: Sequence[Result]) -> str:
    """Draw test accuracy with its 95% interval, a bar a run, the best on top; return SVG."""
    shown = sorted(
        (r for r in results if r.test_accuracy is not None), key=lambda r: r.test_accuracy or 0.0
    )
    weights = list(dict.fromkeys((r.network, r.weights) for r in results))
    figure = _figure(9.0, 1.0 + 0.3 * len(shown))
    axes = figure.add_subplot()
    for row, result in enumerate(shown):
        accuracy = result.test_accuracy or 0.0
        low, high = wilson_interval(accuracy, result.n_test)
        colour = _COLOURS[weights.index((result.network, result.weights)) % len(_COLOURS)]
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
    axes.set_xlabel("test accuracy, %, with 95% Wilson interval")
    return _svg(figure)


@mpl.rc_context(_STYLE)
def training_curves(histories: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """Draw loss and accuracy over epochs, training dashed and validation solid; return SVG."""
    figure = _figure(9.0, 3.4)
    panels = figure.subplots(1, 2)
    for axes, value, scale, unit in zip(
        panels, ("loss", "accuracy"), (1, 100), ("cross-entropy, nats", "accuracy, %"), strict=True
    ):
        for number, (label, history) in enumerate(histories):
            colour = _COLOURS[number % len(_COLOURS)]
            axes.plot(
                history["epoch"],
                scale * history[f"train_{value}"],
                "--",
                color=colour,
                linewidth=1.2,
            )
            validated = scale * history.get(f"val_{value}", float("nan"))
            epochs = history["epoch"]
            axes.plot(epochs, validated + 0 * epochs, color=colour, label=label, linewidth=1.8)
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        if value == "loss":
            axes.set_yscale("log")
    panels[0].plot([], [], "--", color="#777777", label="training (dashed)")
    shown = panels[0].get_legend_handles_labels()
    figure.legend(*shown, loc="outside lower center", ncols=1, frameon=False)
    return _svg(figure)


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]
