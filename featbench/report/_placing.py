"""Labels in a picture that cover neither each other nor its edge."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

_CLEAR = 2.0  # pixels around a label: fonts are hinted otherwise in another resolution
_AROUND = ((6, 0), (-6, 0), (0, 7), (0, -7), (5, 6), (-5, 6), (5, -6), (-5, -6),
           (14, 9), (-14, 9), (14, -9), (-14, -9))  # fmt: skip
"""Where a label may stand, in points from what it names."""


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    *,
    centred: bool = False,
    taken: Sequence[Bbox] = (),
    fontsize: float = 8.0,
) -> list[bool]:
    """Write each text at its point where there is room, the first ones first.

    Parameters
    ----------
    axes : Axes
        Whatever changes its layout must be there already.
    points : sequence of (float, float)
        In the axes' data.
    texts : sequence of str
        One a point.
    centred : bool
        Only on the point itself; else beside it, on whichever side is free.
    taken : sequence of Bbox
        What must stay free, in pixels.
    fontsize : float
        In points.

    Returns
    -------
    list of bool
        Whether each has been written.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    inside = axes.get_window_extent()
    boxes, written = list(taken), []
    for point, text in zip(points, texts, strict=True):
        for x, y in ((0, 0),) if centred else _AROUND:
            label = axes.annotate(
                text, point, (x, y), textcoords="offset points", fontsize=fontsize, zorder=5,
                ha="center" if x == 0 else "left" if x > 0 else "right",
                va="center" if y == 0 else "bottom" if y > 0 else "top",
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.7},
            )  # fmt: skip
            label.set_in_layout(False)
            box = label.get_window_extent().padded(_CLEAR)
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1
            fits = fits and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if fits and not any(box.overlaps(other) for other in boxes):
                boxes.append(box)
                written.append(True)
                break
            label.remove()
        else:
            written.append(False)
    return written
