"""Methods side by side: test accuracy with its interval, and who is told apart from whom."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from featbench.report._columns import letters_of
from featbench.report._drawing import COLOURS, MARKERS, isolated, new_figure, shorten, styled
from featbench.report._names import labels_among, network_name
from featbench.report._rows import Row

_MOST = 60


@styled
def draw_standings(rows: Sequence[Row]) -> Figure:
    """Draw accuracies with their 95% intervals, the best on top.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set; those without an accuracy are left out, and of many the best 60 are shown.

    Returns
    -------
    Figure
        A point a method, a colour and a marker for each network and its weights, at the right the
        accuracy and the letters: methods that share one are not told apart.
    """
    shown = sorted((r for r in rows if r.accuracy is not None), key=lambda r: -(r.accuracy or 0))
    shown = shown[:_MOST]
    labels = labels_among([row.first for row in shown])
    networks = list(dict.fromkeys(network_name(row.first) for row in shown))
    figure = new_figure(9.0, 1.0 + 0.29 * len(shown))
    axes = figure.add_subplot()
    axes.grid(visible=False, axis="y")
    for place, row in enumerate(shown):
        value = 100 * (row.accuracy or 0.0)
        number = networks.index(network_name(row.first))
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        if row.interval is not None:
            axes.plot([100 * row.interval.low, 100 * row.interval.high], [place, place],
                      color=colour, linewidth=2.2, solid_capstyle="butt")  # fmt: skip
        axes.plot(value, place, marker=marker, markersize=7, color=colour, linestyle="none")
        axes.annotate(f"{value:.1f}  {letters_of(row)}", (1, place), (6, 0), va="center",
                      xycoords=("axes fraction", "data"), textcoords="offset points",
                      fontsize=9, annotation_clip=False)  # fmt: skip
    axes.set_yticks(range(len(shown)), [isolated(shorten(label, 62)) for label in labels])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.03)
    axes.set_xlabel("test accuracy (%) with 95% interval")
    return figure
