"""Activation sparsity as bars: layers down the side, models side by side."""

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from featbench.extraction import Sparsity
from featbench.report._drawing import COLOURS, HATCHES, new_figure, shorten, styled


def sparsity_table(found: Mapping[str, Sparsity]) -> list[tuple[str, int, list[float | None]]]:
    """Return layer, call and each model's share, in the order of the forward.

    Parameters
    ----------
    found : mapping of str to Sparsity
        By the models' names.

    Returns
    -------
    list of (str, int, list)
        Shares are fractions; None where a model has no such call.
    """
    shares = [{(r.layer, r.call): r.share for r in one.rows} for one in found.values()]
    order = _merged([list(one) for one in shares])
    return [(layer, call, [one.get((layer, call)) for one in shares]) for layer, call in order]


def _merged(orders: Sequence[list[tuple[str, int]]]) -> list[tuple[str, int]]:
    """Return all calls, each model's own after the one that they follow."""
    whole: list[tuple[str, int]] = []
    for order in orders:
        place = 0
        for key in order:
            if key in whole:
                place = whole.index(key) + 1
            else:
                whole.insert(place, key)
                place += 1
    return whole


@styled
def draw_sparsity(found: Mapping[str, Sparsity]) -> Figure:
    """Draw the share of zeros at each activation call.

    Parameters
    ----------
    found : mapping of str to Sparsity
        By the models' names, in the order of the bars.

    Returns
    -------
    Figure
        A group of bars for each call, the network's input on top. Models whose layers have nothing
        in common have a panel each.
    """
    panels = _panels(found)
    tables = [sparsity_table({name: found[name] for name in names}) for names in panels]
    heights = [len(table) * max(0.19, 0.11 * len(names) + 0.05) + 0.5
               for table, names in zip(tables, panels, strict=True)]  # fmt: skip
    figure = new_figure(8.0, sum(heights) + 0.5 + 0.24 * len(found))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    looks = {name: {"color": COLOURS[i % len(COLOURS)], "hatch": HATCHES[i % len(HATCHES)]}
             for i, name in enumerate(found)}  # fmt: skip
    for panel, names, table in zip(axes, panels, tables, strict=True):
        thick = 0.84 / len(names)
        for number, name in enumerate(names):
            shares = [100 * (row[2][number] or 0) for row in table]
            places = [row - 0.42 + thick * (number + 0.5) for row in range(len(table))]
            panel.barh(places, shares, thick, edgecolor="white", linewidth=0.2, **looks[name])
        labels = [layer if call == 1 else f"{layer}#{call}" for layer, call, _ in table]
        panel.set_yticks(range(len(table)), labels, fontsize=7.5)
        panel.set_ylim(len(table) - 0.5, -0.5)
        panel.set_xlim(0, 100)
        panel.grid(visible=False, axis="y")
    axes[-1].set_xlabel("zeros among the activations (%)")
    keys = [
        Patch(label=textwrap.fill(shorten(name, 360), 90), edgecolor="white",
              facecolor=look["color"], hatch=look["hatch"])
        for name, look in looks.items()
    ]  # fmt: skip
    figure.legend(handles=keys, loc="outside upper center", frameon=False)
    return figure


def _panels(found: Mapping[str, Sparsity]) -> list[list[str]]:
    """Return the models by panel: those that share calls are together."""
    panels: list[tuple[set[tuple[str, int]], list[str]]] = []
    for name, one in found.items():
        calls = {(r.layer, r.call) for r in one.rows}
        for known, names in panels:
            if known & calls:
                known |= calls
                names.append(name)
                break
        else:
            panels.append((calls, [name]))
    return [names for _, names in panels]
