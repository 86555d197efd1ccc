"""Sheets of images: classes with examples, augmented views, predictions."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from featbench.datasets import Dataset, Split
from featbench.errors import BrokenImageError, UsageError
from featbench.report._drawing import isolated, new_figure, shorten, styled
from featbench.report._wrong import Case

Pixels = NDArray[np.uint8]
_SIDE = 160  # pixels of a thumbnail's longer side
_RIGHT, _WRONG = "#00714f", "#b04a00"


def thumbnail(image: Image.Image, side: int = _SIDE) -> Image.Image:
    """Return an image whose longer side has so many pixels; small ones are enlarged unsmoothed."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return image.resize(size, how, reducing_gap=None if scale > 1 else 3.0)


def _read(split: Split, row: int) -> Pixels | None:
    """Return a thumbnail; None of an image that cannot be decoded."""
    try:
        return _square(split.read(row))
    except (BrokenImageError, OSError):
        return None


def _square(image: Image.Image) -> Pixels:
    """Return a thumbnail in the middle of a white square, so that all of them are in line."""
    small = thumbnail(image.convert("RGB"))
    whole = Image.new("RGB", (_SIDE, _SIDE), "white")
    whole.paste(small, ((_SIDE - small.width) // 2, (_SIDE - small.height) // 2))
    return np.asarray(whole)


def _show(axes: Axes, pixels: Pixels | None) -> None:
    axes.set_axis_off()
    if pixels is None:
        axes.text(0.5, 0.5, "cannot be read", ha="center", va="center", fontsize=7,
                  transform=axes.transAxes)  # fmt: skip
        return
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if pixels.ndim == 2 else {}
    axes.imshow(pixels, interpolation="none", **grey)


@styled
def draw_grid(
    dataset: Dataset,
    *,
    split: str = "train",
    examples: int = 6,
    classes: Sequence[str] | None = None,
    most: int = 20,
) -> Figure:
    """Draw examples of each class, a row a class, labelled.

    Parameters
    ----------
    dataset : Dataset
        The images.
    split : str
        Which of its splits.
    examples : int
        Images of each class: the first ones that can be decoded.
    classes : sequence of str, optional
        Which classes; by default so many, evenly spread over their order.
    most : int
        How many classes, where none are named.

    Raises
    ------
    UsageError
        For a split or a class that the data set has not.
    """
    if split not in dataset.splits:
        raise UsageError(f"--split {split}: {dataset.name} has {', '.join(dataset.splits)}")
    if classes is None:
        step = max(1.0, len(dataset.classes) / most)
        places = [int(i * step) for i in range(min(most, len(dataset.classes)))]
    else:
        places = list(dataset.by_label(dict.fromkeys(classes)))
    part = dataset.splits[split]
    figure = new_figure(1.9 + 1.1 * examples, 0.4 + 1.12 * len(places))
    name = isolated(shorten(dataset.name, 50))
    figure.suptitle(
        f"{name}, {split}: {len(places)} of {len(dataset.classes)} classes", fontsize=10
    )
    cells = figure.subplots(
        len(places), examples + 1, squeeze=False, width_ratios=[1.6, *[1] * examples]
    )
    for row, label in zip(cells, places, strict=True):
        images = np.flatnonzero(part.labels == label)
        row[0].set_axis_off()
        name = "\n".join(textwrap.wrap(shorten(dataset.classes[label], 60), 18))
        row[0].text(1, 0.5, f"{name}\n{len(images):,}", ha="right", va="center", fontsize=9,
                    transform=row[0].transAxes)  # fmt: skip
        pictures = (_read(part, int(image)) for image in images)
        good = (pixels for pixels in pictures if pixels is not None)
        for axes in row[1:]:
            axes.set_axis_off()
            if (pixels := next(good, None)) is not None:
                _show(axes, pixels)
    return figure


@styled
def draw_views(image: Image.Image, views: Pixels, recipe: str) -> Figure:
    """Draw an image and what training sees of it.

    Parameters
    ----------
    image : Image
        As it is.
    views : ndarray of uint8, shape (n, height, width, channels)
        As ``augmented_views`` returns them.
    recipe : str
        What made them, for the title.
    """
    columns = min(5, 1 + len(views))
    rows = -(-(1 + len(views)) // columns)
    figure = new_figure(1.75 * columns, 0.45 + 1.85 * rows)
    figure.suptitle("\n".join(textwrap.wrap(recipe, 22 * columns)), fontsize=10)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    _show(cells[0], np.asarray(thumbnail(image, 320)))
    cells[0].set_title("the image", fontsize=8.5)
    for number, (axes, view) in enumerate(zip(cells[1:], views, strict=False)):
        _show(axes, view[..., 0] if view.shape[-1] == 1 else view)
        axes.set_title(f"view {number + 1}", fontsize=8.5)
    return figure


@styled
def draw_predictions(
    cases: Sequence[Case], models: Sequence[str], read: Callable[[str], Image.Image | None]
) -> Figure:
    """Draw images with their label and what each model said of them.

    Parameters
    ----------
    cases : sequence of Case
        The images, in this order.
    models : sequence of str
        The runs' names, in the order of the answers.
    read : callable
        Returns the image of an id; None where it cannot be decoded.

    Returns
    -------
    Figure
        Above each image its label, below it an answer a model: a tick or a cross, the class, the
        confidence. Several models are lettered, and named on top.
    """
    columns = min(6, max(1, len(cases)))
    rows = -(-len(cases) // columns)
    key = [f"{letter(i)}  {shorten(name, 400)}" for i, name in enumerate(models)]
    wide = 2.05 * max(columns, 3)
    lines = [line for text in key for line in textwrap.wrap(text, int(13 * wide))]
    figure = new_figure(wide, rows * (2.25 + 0.17 * len(models)) + 0.2 * len(lines) + 0.2)
    figure.suptitle("\n".join(lines) if len(models) > 1 else shorten(models[0], int(12 * wide)),
                    fontsize=9)  # fmt: skip
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in cells:
        axes.set_axis_off()
    for axes, case in zip(cells, cases, strict=False):
        image = read(case.id)
        _show(axes, None if image is None else _square(image))
        axes.set_title(isolated(shorten(case.label, 26)), fontsize=8.5, fontweight="bold")
        for number, answer in enumerate(case.answers):
            _answer(axes, number, len(models), answer, case.label)
    return figure


def _answer(axes: Axes, number: int, models: int, answer: Any, label: str) -> None:
    is_right = answer.predicted == label
    first = f"{letter(number)} " if models > 1 else ""
    sure = "" if answer.confidence is None else f" {100 * answer.confidence:.0f}%"
    name = isolated(shorten(answer.predicted, 22))
    axes.annotate(
        f"{first}{'✓' if is_right else '✗'} {name}{sure}", (0.5, 0), (0, -4 - 12 * number),
        xycoords="axes fraction", textcoords="offset points", ha="center", va="top", fontsize=8,
        color=_RIGHT if is_right else _WRONG, annotation_clip=False,
    )  # fmt: skip


def letter(number: int) -> str:
    """Return A, B, …, Z, AA, BB, … for 0, 1, …"""
    return chr(ord("A") + number % 26) * (1 + number // 26)
