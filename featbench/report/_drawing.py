"""How every picture is drawn: palette, type, and the file that it becomes.

Runs are told apart by colour and by marker, so a picture can be read in greyscale. matplotlib (from
3.11 on) puts right-to-left text into its order; what joins such text with other text isolates it.
"""

import contextlib
import functools
import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
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
_GLYPH = re.compile(r"Glyph (\d+) .* missing from font")
_TAG = re.compile(r"<[^<>]*>")
_ID = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
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


def new_figure(width: float, height: float, *, of_squares: bool = False) -> Figure:
    """Return an empty figure of so many inches, laid out so that nothing overlaps.

    Where its panels are to be square, or images, that is known before they are laid out.
    """
    return Figure(figsize=(width, height), layout="compressed" if of_squares else "constrained")


def shorten(text: str, most: int) -> str:
    """Return text on one line, its middle left out where it is longer than so many characters.

    What no font can draw (control characters, bytes of a file's name that are no UTF-8) is �, and
    so are marks that would turn the direction of what follows them.
    """
    text = " ".join(text.split())
    text = "".join("�" if _acts(c) else c for c in text)
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[: most - 1 - head]}…{text[len(text) - head :]}"


def _acts(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in _TURNING


def isolated(text: str) -> str:
    """Return text that keeps its own direction inside a line that runs from left to right.

    The marks are Unicode's isolates (UAX 9): without them a Hebrew name would turn round the
    arrow and the name after it.
    """
    return f"\u200e\u2068{text}\u2069\u200e"


@styled
def as_svg(figure: Figure, name: str = "") -> str:
    """Return a figure as an ``<svg>`` element, the same text for the same figure.

    Parameters
    ----------
    figure : Figure
        What to write.
    name : str
        Begins the ids in it, so that several can stand in one page.
    """
    text = io.StringIO()
    with _missing_letters():  # in an SVG text is text, and fonts are the reader's
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    svg = _directed(text.getvalue())
    if name:
        svg = _TAG.sub(lambda tag: _ID.sub(rf"\g<0>{name}-", tag.group()), svg)
    return svg[svg.index("<svg") :]


@contextlib.contextmanager
def _missing_letters() -> Iterator[dict[str, None]]:
    """Collect the letters that no font here has, of which matplotlib would warn one by one."""
    missing: dict[str, None] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield missing
    for one in caught:
        if found := _GLYPH.match(str(one.message)):
            missing[chr(int(found[1]))] = None
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _directed(svg: str) -> str:
    """Let each text run as its first letter does, as it does in the other formats."""
    return svg.replace("<style type=\"text/css\">", "<style type=\"text/css\">"
                       "text{unicode-bidi: plaintext}", 1)  # fmt: skip


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
    with _missing_letters() as missing:
        figure.savefig(content, format=kind, dpi=200, metadata=undated[kind], facecolor="white")
    data = content.getvalue()
    if missing and kind != "svg":
        letters = " ".join(list(missing)[:20])
        warnings.warn(f"{path}: no font of this machine has {letters}: boxes stand for them; "
                      "install a font that has them, or save an .svg", stacklevel=2)  # fmt: skip
    if kind == "svg":
        data = _directed(data.decode()).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)
    return path.resolve()
