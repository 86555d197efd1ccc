"""Layer sweeps: a head's accuracy against the depth of the layer that it is fitted on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from featbench.errors import UsageError
from featbench.experiments import Result, method_key
from featbench.report._comparison import as_method
from featbench.report._drawing import isolated, shorten, styled
from featbench.report._lines import MOST, Legend, error_bar, key_above, look
from featbench.report._names import labels_among, method_name
from featbench.report._rows import names_of_data
from featbench.statistics import Interval, t_interval, wilson_interval

FEATURES = "features"
_APART = 0.05  # of a step between layers: how far lines are set apart,
_MOST_APART = 0.4  # and all of them together
_AXIS = 8.2  # inches
_LETTER = 0.08  # inches
_NAME = 34  # letters of a layer's name


@dataclass(frozen=True)
class LayerSweep:
    """One method's accuracy at several layers of its network.

    Parameters
    ----------
    dataset, network : str
        Of the runs; the data set as it is called beside the others.
    layers : tuple of str
        From the first to the last, ``features`` being the last of all.
    seeds : tuple of int
        Those that every layer has.
    accuracies : ndarray of float64, shape (n_layers, n_seeds)
        Test accuracies, fractions.
    n_test : int
        Test images.
    label : str
        What tells the method from the others on its data set and network.
    result : Result
        A run of it, without what its layers and seeds do not share.
    depths : tuple of int
        Weights below each layer.
    left_out : int
        Runs of seeds that some layer lacks.
    """

    dataset: str
    network: str
    layers: tuple[str, ...]
    seeds: tuple[int, ...]
    accuracies: NDArray[np.float64]
    n_test: int
    label: str
    result: Result
    depths: tuple[int, ...]
    left_out: int = 0

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean accuracy at each layer, fractions, shape (n_layers,)."""
        means: NDArray[np.float64] = self.accuracies.mean(axis=1)
        return means

    def intervals(self) -> list[Interval]:
        """Return each layer's 95% interval.

        Of several seeds Student's, of their mean; of one Wilson's, of what other test images give.
        """
        if len(self.seeds) > 1:
            return [t_interval(values) for values in self.accuracies]
        return [Interval(*wilson_interval(float(mean), self.n_test)) for mean in self.means]


def layer_sweeps(results: Sequence[Result]) -> list[LayerSweep]:
    """Return the layer sweeps among results: runs alike but for the layer, and seed.

    Parameters
    ----------
    results : sequence of Result
        Failed ones are passed over, and those of a single layer; so are seeds that a layer lacks.

    Returns
    -------
    list of LayerSweep
        Data set by data set and network by network, in the order of the results.
    """
    done = [r for r in results if r.status == "ok" and r.cut == "classifier"]
    names = names_of_data(results)
    panels: dict[tuple[str, str], dict[str, list[Result]]] = {}
    for result in done:
        of_it = panels.setdefault((result.fingerprint, result.network), {})
        of_it.setdefault(layer_sweep_key(result), []).append(result)
    return [sweep for groups in panels.values() for sweep in _of_network(groups, names)]


def _of_network(
    groups: dict[str, list[Result]], names: dict[tuple[str, str], str]
) -> Iterator[LayerSweep]:
    sweeps = [
        found for runs in groups.values() if any(run.layer for run in runs)
        and (found := _sweep(runs, names)) is not None
    ]  # fmt: skip
    methods = [sweep.result for sweep in sweeps]
    labels = labels_among(methods) if len(methods) > 1 else list(map(method_name, methods))
    for sweep, label in zip(sweeps, labels, strict=True):
        yield replace(sweep, label=label)


def _sweep(runs: Sequence[Result], names: dict[tuple[str, str], str]) -> LayerSweep | None:
    by_layer: dict[str, dict[int, Result]] = {}
    for run in runs:
        by_layer.setdefault(run.layer or FEATURES, {})[run.seed] = run
    seeds = sorted(set.intersection(*(set(one) for one in by_layer.values())))
    if len(by_layer) < 2 or not seeds:
        return None
    depths = {layer: _weights_below(next(iter(one.values()))) for layer, one in by_layer.items()}
    layers = sorted(by_layer, key=lambda layer: (layer == FEATURES, depths[layer]))
    first = runs[0]
    return LayerSweep(
        names[first.dataset, first.fingerprint],
        first.network,
        tuple(layers),
        tuple(seeds),
        np.array([[by_layer[at][seed].test_accuracy for seed in seeds] for at in layers], float),
        first.n_test,
        "",
        as_method(first, layer=""),
        tuple(depths[at] for at in layers),
        sum(len(one) - len(seeds) for one in by_layer.values()),
    )


def _weights_below(run: Result) -> int:
    """Return how many weights a layer's values come from: the deeper, the more."""
    return (run.parameters_total or 0) - (run.parameters_trainable or 0)


def layer_sweep_key(result: Result) -> str:
    """Return what a run shares with the same method's runs on other layers, and of other seeds."""
    key = json.loads(method_key(result))
    return json.dumps({k: v for k, v in key.items() if k != "layer"})


@styled
def draw_layers(sweeps: Sequence[LayerSweep]) -> Figure:
    """Draw accuracy against depth.

    Parameters
    ----------
    sweeps : sequence of LayerSweep
        A panel for each data set and network among them; of one panel's many sweeps the 40 whose
        best layer is best.

    Returns
    -------
    Figure
        A line for each method with 95% intervals (see ``LayerSweep.intervals``), layers by name
        from the first to the last; points of one layer stand a little apart, so that intervals do
        not cover each other.

    Raises
    ------
    UsageError
        When there is no sweep.
    """
    if not sweeps:
        raise UsageError("no layer sweep: a recipe with layers = \"all\", or a list of layers, "
                         "makes one")  # fmt: skip
    panels: dict[tuple[str, str], list[LayerSweep]] = {}
    for sweep in sorted(sweeps, key=lambda s: -float(s.means.max())):
        panels.setdefault((sweep.dataset, sweep.network), []).append(sweep)
    panels = {name: panels[name] for name in dict.fromkeys((s.dataset, s.network) for s in sweeps)}
    shown = {name: found[:MOST] for name, found in panels.items()}
    labels = list(dict.fromkeys(sweep.label for found in shown.values() for sweep in found))
    legend = Legend.of(labels, [""] * len(labels))
    heights = [3.9 + 0.05 * len(found) + _room_below(found) for found in shown.values()]
    figure = legend.figure(sum(heights))
    axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, ((data, network), found) in zip(axes, shown.items(), strict=True):
        _panel(panel, found, [labels.index(sweep.label) for sweep in found])
        all_of_it = len(panels[data, network])
        of = f", the best {MOST} of {all_of_it}" if len(found) < all_of_it else ""
        title = f"{isolated(shorten(data, 40))} · {isolated(shorten(network, 50))}{of}"
        panel.set_title(title, fontsize=10, loc="left")
    legend.draw(figure)
    key_above(figure, _marks(sweeps))
    return figure


def _panel(axes: Axes, sweeps: Sequence[LayerSweep], numbers: Sequence[int]) -> None:
    depths = {at: (at == FEATURES, depth) for sweep in sweeps
              for at, depth in zip(sweep.layers, sweep.depths, strict=True)}  # fmt: skip
    layers = sorted(depths, key=lambda at: depths[at])
    spread = min(_APART * (len(sweeps) - 1), _MOST_APART) / 2
    apart = np.linspace(-spread, spread, len(sweeps))
    for sweep, number, shift in zip(sweeps, numbers, apart, strict=True):
        style = look(number)
        at = np.array([layers.index(layer) for layer in sweep.layers]) + shift
        axes.plot(at, 100 * sweep.means, **style)
        for x, (low, high) in zip(at, sweep.intervals(), strict=True):
            error_bar(axes, x, 100 * max(low, 0.0), 100 * min(high, 1.0), style["color"])
    names = [isolated(shorten(layer, _NAME)) for layer in layers]
    turned = _room_below(sweeps) > 0
    axes.set_xticks(range(len(layers)), names, rotation=45 if turned else 0,
                    ha="right" if turned else "center", rotation_mode="anchor" if turned else None,
                    fontsize=9 if len(layers) <= 30 else 6)  # fmt: skip
    axes.set_xlim(-0.4, len(layers) - 0.6)
    axes.set_xlabel("layer whose values the head is fitted on, from first to last")
    axes.set_ylabel("test accuracy (%)")


def _room_below(sweeps: Sequence[LayerSweep]) -> float:
    """Return how many inches more the layers' names take, turned for want of room; else 0."""
    layers = {layer for sweep in sweeps for layer in sweep.layers}
    longest = _LETTER * min(max(map(len, layers)), _NAME)
    return 0.6 * longest if longest > _AXIS / len(layers) else 0.0


def _marks(sweeps: Sequence[LayerSweep]) -> list[Line2D]:
    counts = sorted({len(sweep.seeds) for sweep in sweeps})
    several = [count for count in counts if count > 1]
    told = []
    if several:
        most = f"{several[0]}" if len(several) == 1 else f"{several[0]} to {several[-1]}"
        told.append(f"mean over {most} seeds and its 95% interval")
    if counts[0] == 1:
        told.append("one run: Wilson's 95% interval")
    return [Line2D([], [], color="#555555", linewidth=1.2, marker="|", markersize=11,
                   label="; ".join(told))]  # fmt: skip
