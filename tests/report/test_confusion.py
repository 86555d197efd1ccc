"""Confusions: counted right, the most frequent named, labels that never cover each other."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from PIL import Image

from featbench.experiments import PredictionTable
from featbench.report import as_svg, confusion_of, draw_confusion, save_figure

HEBREW, PERSIAN = "חתול (גדול)", "گربه ایرانی"


def table(classes: list[str], n: int = 400) -> PredictionTable:
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(len(classes)), rng.integers(0, len(classes), n)])
    said = np.where(rng.random(len(y)) < 0.7, y, (y + rng.integers(1, 4, len(y))) % len(classes))
    return PredictionTable(
        tuple(map(str, range(len(y)))),
        tuple(classes[i] for i in y),
        tuple(classes[i] for i in said),
    )


def free(texts: list[Text]) -> bool:
    boxes = [t.get_window_extent() for t in texts if t.get_visible() and t.get_text()]
    return not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_rows_are_true_columns_are_answers_and_numbers_are_in_order() -> None:
    labels, said = ("10", "9", "9", "9", "a"), ("9", "9", "10", "10", "b")
    found = confusion_of(PredictionTable(tuple("12345"), labels, said))
    assert found.classes == ("9", "10", "a", "b")
    assert found.counts.tolist() == [[1, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert found.mistakes() == [("9", "10", 2, 3), ("10", "9", 1, 1), ("a", "b", 1, 1)]
    assert found.shares[3].tolist() == [0, 0, 0, 0]  # a class that only answers have


@pytest.mark.parametrize("n", [2, 10, 41, 196])
def test_no_label_covers_another_or_is_cut_off(n: int) -> None:
    figure = draw_confusion(
        confusion_of(table([f"a car model of the year {i}" for i in range(n)], 40 * n))
    )
    figure.draw_without_rendering()
    panel, *others = figure.axes
    edge = figure.bbox.padded(1)
    for axis in (panel.xaxis, panel.yaxis):
        labels = axis.get_ticklabels()
        assert len(labels) == (n if n <= 60 else 0)
        assert free(labels)
        for label in (*labels, axis.label):
            box = label.get_window_extent()
            assert edge.contains(box.x0, box.y0)
            assert edge.contains(box.x1, box.y1)
    lists = [a for a in others if "most frequent" in a.get_title(loc="left")]
    assert len(lists) == (n > 12)
    for one in lists:
        assert len(one.texts) == 40  # names and counts
        assert free(one.texts)


def cells(axes: Axes) -> list[str]:
    return [t.get_text() for t in axes.texts]


def test_few_classes_have_their_counts_in_the_cells() -> None:
    figure = draw_confusion(confusion_of(PredictionTable(("1", "2"), ("a", "b"), ("a", "a"))))
    assert cells(figure.axes[0]) == ["1", "1"]


def test_right_to_left_names_are_drawn_in_their_order_whatever_stands_beside_them(
    tmp_path: Path,
) -> None:
    """The same ink as the name put into order by hand, drawn with no bidi to do."""
    from featbench.report._drawing import isolated, new_figure, styled

    @styled
    def drawn(text: str) -> bytes:
        figure = new_figure(4, 1)
        figure.text(0.02, 0.4, text, fontsize=20)
        return Image.open(save_figure(figure, tmp_path / "a.png")).tobytes()

    by_hand = "\u202d(לודג) לותח\u202c"  # an override: as written, from left to right
    assert drawn(isolated(HEBREW)) == drawn(by_hand)
    both = f"{isolated(HEBREW)} → {isolated(PERSIAN)}"
    assert drawn(both) != drawn(f"{HEBREW} → {PERSIAN}")  # which turns the arrow's ends round
    svg = as_svg(draw_confusion(confusion_of(table([HEBREW, PERSIAN]))))
    assert "unicode-bidi: plaintext" in svg
    assert HEBREW in svg


def test_letters_that_no_font_has_are_told_once(tmp_path: Path) -> None:
    figure = draw_confusion(confusion_of(table(["\U000f1234\U000f1235", "a\U000f1234"])))
    assert "\U000f1235" in as_svg(figure)  # the reader may have a font for it
    save_figure(figure, tmp_path / "a.svg")
    with pytest.warns(
        UserWarning, match="no font of this machine has \U000f1234 \U000f1235:"
    ) as told:
        save_figure(figure, tmp_path / "a.png")
    assert len(told) == 1


def test_what_a_class_is_called_cannot_break_a_picture(tmp_path: Path) -> None:
    hostile = ["$x^2$", "a\nb\tc", '<script id="x">', "\udcff\x00", "x" * 400, "&amp;"]
    figure = draw_confusion(confusion_of(table(hostile)), title="$\\input" * 30)
    svg = as_svg(figure, name="p1")
    assert "<script" not in svg
    assert "$x^2$" in svg
    assert '&lt;script id="x"&gt;' in svg  # what is text is left alone
    assert 'id="p1-figure_1"' in svg
    for suffix in (".png", ".svg", ".pdf"):
        assert save_figure(figure, tmp_path / f"a{suffix}").stat().st_size > 1000
