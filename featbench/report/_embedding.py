"""Features in the plane: PCA, or UMAP where it is installed."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from featbench.errors import UsageError
from featbench.report._drawing import COLOURS, MARKERS, isolated, new_figure, shorten, styled
from featbench.report._placing import place_labels

METHODS = ("pca", "umap")
_IN_LEGEND = 20  # classes up to which each is in the legend; more are named in the picture
_FIRST = 50  # principal components that UMAP is given


def plane_method(asked: str | None) -> str:
    """Return how rows are put into the plane: as asked, else by UMAP where it is installed.

    Parameters
    ----------
    asked : str, optional
        ``pca`` or ``umap``.

    Raises
    ------
    UsageError
        For another method, or for UMAP without umap-learn.
    """
    has_umap = importlib.util.find_spec("umap") is not None
    if asked is not None and asked not in METHODS:
        raise UsageError(f"--method {asked}: expected {', '.join(METHODS)}")
    if asked == "umap" and not has_umap:
        raise UsageError("--method umap needs umap-learn: pip install umap-learn, or --method pca")
    return asked or ("umap" if has_umap else "pca")


@dataclass(frozen=True)
class Plane:
    """Where each row lies.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 2)
        One a row.
    axes : tuple of (str, str)
        What the two directions are.
    """

    points: NDArray[np.float64]
    axes: tuple[str, str]


def project(X: NDArray[np.float32], method: str = "pca", *, seed: int = 0) -> Plane:
    """Return rows in the plane.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
        At least 3 rows.
    method : str
        ``pca``: the two directions of most variance, each with its share of it. ``umap``
        (McInnes et al. 2018), of the first 50 principal components: near rows stay near; distances
        between far ones mean little.
    seed : int
        For UMAP, and for PCA's randomised solver on large matrices.

    Raises
    ------
    UsageError
        For another method, when umap-learn is not installed, or for fewer rows.
    """
    plane_method(method)
    if len(X) < 3:
        raise UsageError(f"{len(X)} images are too few for a picture; take another --split")
    if method == "umap":
        import umap  # type: ignore[import-not-found, unused-ignore]

        first = PCA(min(_FIRST, *X.shape), random_state=seed).fit_transform(X)
        points = umap.UMAP(random_state=seed).fit_transform(first)
        return Plane(np.asarray(points, dtype=np.float64), ("UMAP 1", "UMAP 2"))
    pca = PCA(2, random_state=seed)
    points = np.asarray(pca.fit_transform(X), dtype=np.float64)
    points *= np.where(pca.components_[np.arange(2), np.abs(pca.components_).argmax(1)] < 0, -1, 1)
    shares = [f"component {i + 1} ({100 * s:.1f}% of the variance)"
              for i, s in enumerate(pca.explained_variance_ratio_)]  # fmt: skip
    return Plane(points, (shares[0], shares[1]))


@styled
def draw_embedding(
    plane: Plane, labels: NDArray[np.int64], classes: Sequence[str], title: str = ""
) -> Figure:
    """Draw each row as a point, a colour and a marker for each class.

    Parameters
    ----------
    plane : Plane
        Where.
    labels : ndarray of int64, shape (n,)
        Indices into the classes.
    classes : sequence of str
        Their names.
    title : str
        What is shown.

    Returns
    -------
    Figure
        Up to 20 classes are in a legend. Of more, names stand at their classes' medians, those
        of the most compact first, as many as have room.
    """
    present = [int(c) for c in np.unique(labels)]
    columns = 4 if max(len(shorten(classes[c], 26)) for c in present) < 18 else 3
    has_legend = len(present) <= _IN_LEGEND
    extra = 0.24 * -(-len(present) // columns) if has_legend else 0.0
    figure = new_figure(8.0, 6.4 + extra)
    axes = figure.add_subplot()
    size = float(np.clip(1500 / len(labels) ** 0.75, 5, 26))
    keys = []
    for number, c in enumerate(present):
        look: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
        }
        spots = plane.points[labels == c]
        axes.scatter(spots[:, 0], spots[:, 1], s=size, alpha=0.65, linewidths=0,
                     rasterized=len(labels) > 5000, **look)  # fmt: skip
        keys.append(Line2D([], [], linestyle="none", label=isolated(shorten(classes[c], 26)),
                           **look))  # fmt: skip
    axes.set_xlabel(plane.axes[0])
    axes.set_ylabel(plane.axes[1])
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(shorten(title, 95), fontsize=10)
    if has_legend:
        figure.legend(handles=keys, loc="outside lower center", ncols=columns, frameon=False,
                      fontsize=9)  # fmt: skip
        return figure
    middles = {c: np.median(plane.points[labels == c], axis=0) for c in present}
    spread = {c: float(np.abs(plane.points[labels == c] - middles[c]).mean()) for c in present}
    order = sorted(present, key=lambda c: spread[c])
    written = place_labels(
        axes, [tuple(middles[c]) for c in order],
        [isolated(shorten(classes[c], 26)) for c in order], centred=True, fontsize=7.5,
    )  # fmt: skip
    if not all(written):
        axes.set_xlabel(f"{plane.axes[0]}\n{sum(written)} of {len(order)} classes have room for "
                        "their names")  # fmt: skip
    return figure
