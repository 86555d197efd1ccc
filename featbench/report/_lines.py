"""Lines with markers that can be told apart in greyscale, and the legend below that names them."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from featbench.report._drawing import COLOURS, MARKERS, isolated, new_figure, shorten

MOST = 40
"""Lines that a picture has at most."""
_STYLES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)))
_WIDTH = 9.0  # inches of a picture
_COLUMN = 52  # characters of a legend's column, of two
_LINE = 0.2  # inches of a legend's line


def look(number: int) -> dict[str, Any]:
    """Return a line's colour, marker and dashes: no two of 63 are alike."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": _STYLES[number // len(COLOURS) % len(_STYLES)],
        "linewidth": 1.5,
        "markersize": 5.0,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def error_bar(axes: Axes, x: float, low: float, high: float, colour: str) -> None:
    """Draw an interval behind a line's marker."""
    axes.plot([x, x], [low, high], color=colour, linewidth=1.1, alpha=0.75, zorder=1.5,
              solid_capstyle="butt")  # fmt: skip


@dataclass(frozen=True)
class Legend:
    """The names of lines, and how they stand below a picture.

    Parameters
    ----------
    texts : tuple of str
        One a line, wrapped; each keeps its own direction.
    columns : int
        Of the legend.
    """

    texts: tuple[str, ...]
    columns: int

    @classmethod
    def of(cls, labels: Sequence[str], after: Sequence[str]) -> "Legend":
        """Return the legend of labels, each with what is said after it (may be empty)."""
        texts = [f"{shorten(label, 150)}{tail}" for label, tail in zip(labels, after, strict=True)]
        columns = 2 if len(texts) > 1 and all(len(text) <= _COLUMN for text in texts) else 1
        room = _COLUMN if columns == 2 else 2 * _COLUMN
        wrapped = []
        for label, tail in zip(labels, after, strict=True):
            lines = textwrap.wrap(shorten(label, 150), room) or [""]
            fits = len(lines[-1]) + len(tail) <= room
            lines = [isolated(line) for line in lines]
            lines = [*lines[:-1], lines[-1] + tail] if fits else [*lines, tail.lstrip(": ")]
            wrapped.append("\n".join(lines))
        return cls(tuple(wrapped), columns)

    def figure(self, height: float) -> Figure:
        """Return an empty figure with so many inches for its panels, and room for the legend."""
        lines = sum(1 + text.count("\n") for text in self.texts)
        return new_figure(_WIDTH, height + 0.5 + _LINE * -(-lines // self.columns))

    def draw(self, figure: Figure) -> None:
        """Write it below the panels."""
        handles = [Line2D([], [], label=text, **look(i)) for i, text in enumerate(self.texts)]
        figure.legend(handles=handles, loc="outside lower center", ncols=self.columns,
                      frameon=False, fontsize=9, handlelength=3.2)  # fmt: skip


def key_above(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Write what marks mean above the panels."""
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles),
                      frameon=False, fontsize=9)  # fmt: skip
