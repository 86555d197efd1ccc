"""How every picture is drawn: palette, type, and the file that it becomes.

Runs are told apart by colour and by marker, so a picture can be read in greyscale.
"""

import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure

from featbench.errors import UsageError
from featbench.files import write_whole

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette without its yellow, which is too light for lines on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
"""As many as have no common divisor with the colours: 63 runs have no two alike."""
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "oooo")
"""For areas, where there is no marker."""
SUFFIXES = (".png", ".svg", ".pdf")
_STYLE: Any = {
    "font.size": 10.0,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a $ in a class or network name is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "featbench",
    "pdf.fonttype": 42,
}
_P = ParamSpec("_P")
_T = TypeVar("_T")


def styled(draw: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a function that draws in this style."""

    @functools.wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return drawn


def plain_number(value: float, position: int | None = None) -> str:
    """Return an axis tick's label: 0.01 rather than a power, which would be TeX."""
    return f"{value:g}"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


@styled
def as_svg(figure: Figure) -> str:
    """Return a figure as an ``<svg>`` element, the same text for the same figure."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return text.getvalue()[text.getvalue().index("<svg") :]


def check_picture(path: Path) -> None:
    """See that a picture can be written under this name, before any work.

    Parameters
    ----------
    path : Path
        What the user asked for.

    Raises
    ------
    UsageError
        For a folder, or an ending that is not .png, .svg or .pdf.
    """
    if path.is_dir():
        raise UsageError(f"-o {path}: is a folder; name a file in it, such as {path / 'a.png'}")
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"-o {path}: a picture ends in {', '.join(SUFFIXES)}")


@styled
def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure whole; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        What to write.
    path : Path
        A .png (200 pixels an inch), .svg or .pdf file; its folder is made where there is none.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    UsageError
        For another ending, or a folder.
    """
    check_picture(path)
    kind = path.suffix.lower()[1:]
    undated = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=200, metadata=undated[kind], facecolor="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content.getvalue())
    return path.resolve()
