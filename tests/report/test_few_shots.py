"""Few-shot results become curves, a picture, and a table of how many labels are needed."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.report import (
    FORMATS,
    as_csv,
    as_json,
    as_markdown,
    draw_few_shots,
    few_shot_curves,
    labels_needed_table,
)
from featbench.statistics import labels_needed, t_interval
from tests.conftest import Said
from tests.report.test_hostile_text import HOSTILE
from tests.report.test_report import result

Command = Callable[..., Said]
ACCURACY = {1: 0.3, 2: 0.5, 5: 0.7, 10: 0.8}


def runs(
    method: str = "logreg", more: float = 0.0, *, first: int = 0, **fields: object
) -> list[Result]:
    given = {"n_classes": 4, "rows_cached": 1, **fields}
    return [
        result(
            first + 100 * k + seed, method=method, seed=seed, n_per_class=k, sample={"shots": k},
            test_accuracy=accuracy + more + 0.01 * seed, n_train=4 * k, **given,
        )
        for k, accuracy in ACCURACY.items() for seed in (0, 1, 2)
    ]  # fmt: skip


def test_runs_alike_but_for_size_and_draw_are_one_curve() -> None:
    whole = result(1, method="logreg")
    logreg, knn = few_shot_curves([*runs(), whole, *runs("knn")])
    assert (logreg.shots, logreg.draws, logreg.left_out) == ((1, 2, 5, 10), (0, 1, 2), 0)
    assert logreg.accuracies[:, 0].tolist() == pytest.approx(list(ACCURACY.values()))
    assert logreg.images.tolist() == [4, 8, 20, 40]
    assert (logreg.label, knn.label) == ("random, frozen + logreg", "random, frozen + knn")


def test_a_draw_that_a_size_lacks_is_left_out_and_counted() -> None:
    some = [one for one in runs() if not (one.seed == 2 and one.n_per_class == 5)]
    (curve,) = few_shot_curves(some)
    assert (curve.draws, curve.left_out) == ((0, 1), 3)
    assert "3 runs left out" in " ".join(labels_needed_table(some, 0.6).notes)
    assert few_shot_curves([one for one in runs() if one.status == "failed"]) == []


def test_methods_are_named_by_what_they_were_given_not_by_what_a_draw_chose() -> None:
    def ledger(chosen: int) -> list[dict[str, object]]:
        return [{"settings": {"C": c, "k": 1}, "accuracy": 0.5 + (c == chosen)} for c in (1, 9)]

    tuned = [one.model_copy(update={"settings": {"C": one.seed, "k": 1}, "ledger": ledger(1)})
             for one in runs(first=5000, selection={"tune": 2}, searched=["C"])]  # fmt: skip
    plain = runs(settings={"C": 1, "k": 1})
    assert [c.label for c in few_shot_curves([*tuned, *plain])] == ["best of 2", "C=1"]


class TestTable:
    def test_it_has_the_fewest_labels_first_and_is_plain_for_programs(self) -> None:
        table = labels_needed_table(
            [*runs(more=-0.4), *runs("knn", first=5000), *runs("ridge", 0.1, first=9000)], 0.6
        )
        rows = json.loads(as_json(table))
        assert [row["method"] for row in rows] == ["ridge", "knn", "logreg"]
        for row, more in zip(rows[:2], (0.1, 0.0), strict=True):
            values = [[a + more + 0.01 * s for s in range(3)] for a in ACCURACY.values()]
            found = labels_needed(list(ACCURACY), values, 0.6)
            assert row["images_per_class"] == pytest.approx(found.count)
            assert row["images_per_class_low"] == pytest.approx(found.low)
            assert row["images_per_class_high"] == pytest.approx(found.high)
            assert row["labels"] == pytest.approx(4 * row["images_per_class"])
            assert (row["draws"], row["target_accuracy"], row["at_most"]) == (3, 0.6, False)
        assert rows[2]["images_per_class"] is rows[2]["images_per_class_high"] is None
        (first, *_) = csv.DictReader(io.StringIO(as_csv(table)))
        assert float(first["images_per_class"]) == rows[0]["images_per_class"]

    def test_labels_are_those_that_were_drawn_where_a_class_has_fewer(self) -> None:
        few = [one.model_copy(update={"n_train": min(one.n_train, 18)}) for one in runs()]
        (row,) = json.loads(as_json(labels_needed_table(few, 0.7)))
        share = np.log(row["images_per_class"] / 2) / np.log(5 / 2)
        assert row["labels"] == pytest.approx(8 * (18 / 8) ** share)

    def test_what_was_not_measured_is_said_to_lie_beyond(self) -> None:
        def cells(target: float) -> str:
            return as_markdown(labels_needed_table(runs(), target)).splitlines()[2]

        assert "≤ 1" in cells(0.2)
        assert "> 10" in cells(0.95)
        assert "to > 10" in cells(0.81)
        (row,) = json.loads(as_json(labels_needed_table(runs(), 0.2)))
        assert (row["images_per_class"], row["at_most"]) == (1.0, True)

    def test_each_data_set_has_a_section_and_rows_are_chosen(self) -> None:
        both = [*runs(), *runs("knn", first=5000, dataset="other", fingerprint="g")]
        assert [s.title for s in labels_needed_table(both, 0.6).sections] == ["photos", "other"]
        chosen = labels_needed_table(both, 0.6, rows="head=knn")
        assert [row.first.method for row in chosen.rows] == ["knn"]
        with pytest.raises(UsageError, match="no row is left"):
            labels_needed_table(both, 0.6, rows="head=mlp")

    def test_names_that_mean_harm_are_text_in_every_format(self) -> None:
        some = [one for i, text in enumerate(HOSTILE)
                for one in runs(first=5000 * i, network=text, weights=text)]  # fmt: skip
        table = labels_needed_table(some, 0.6)
        texts = {name: render(table) for name, render in FORMATS.items()}
        assert [row["network"] for row in json.loads(texts["json"])] == HOSTILE
        rows = list(csv.DictReader(io.StringIO(texts["csv"], newline="")))
        assert len(rows) == len(HOSTILE)
        assert not any(row["network"].startswith(("=", "+", "-", "@")) for row in rows)
        assert "<script>" not in texts["html"]
        assert r"\input{" not in texts["latex"]


def drawn(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


class TestPicture:
    def test_a_line_is_the_mean_over_draws_with_its_interval(self) -> None:
        (curve,) = few_shot_curves(runs())
        axes = drawn(draw_few_shots([curve])).axes[0]
        line, *bars = axes.lines
        assert list(line.get_xdata()) == pytest.approx([1, 2, 5, 10])
        assert list(line.get_ydata()) == pytest.approx(list(100 * curve.means))
        assert axes.get_xscale() == "log"
        for bar, values in zip(bars, curve.accuracies, strict=True):
            assert list(bar.get_ydata()) == pytest.approx([100 * end for end in t_interval(values)])
        assert [t.get_text() for t in axes.get_xticklabels()] == ["1", "2", "5", "10"]
        once = [one for one in runs() if one.seed == 0]
        assert len(draw_few_shots(few_shot_curves(once)).axes[0].lines) == 1

    def test_where_a_curve_reaches_the_accuracy_is_marked_and_said(self) -> None:
        curves = few_shot_curves([*runs(), *runs("knn", -0.4, first=5000)])
        figure = draw_few_shots(curves, 0.6)
        rings = [line for line in figure.axes[0].lines if line.get_markersize() == 9]
        assert [list(ring.get_ydata()) for ring in rings] == [[60.0]]
        count = curves[0].needed(0.6).count
        assert rings[0].get_xdata()[0] == pytest.approx(count, rel=0.02)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert f": {count:.1f} (" in texts[0]
        assert texts[1].endswith(": > 10")

    @pytest.mark.parametrize("name", ["net", "a_network_with_a_very_long_name_" * 3, "רשת-עצבית"])
    @pytest.mark.parametrize("count", [2, 30])
    def test_nothing_covers_anything(self, count: int, name: str) -> None:
        many = [
            one
            for i in range(count)
            for one in runs(f"head{i}", -0.01 * i, first=5000 * i, network=f"{name}{i % 3}")
        ]
        figure = drawn(draw_few_shots(few_shot_curves(many), 0.6))
        below, above = (legend.get_window_extent() for legend in figure.legends)
        panel = figure.axes[0].get_tightbbox()
        assert 0 <= below.x0 < below.x1 <= figure.bbox.x1
        assert 0 <= below.y0 < below.y1 <= panel.y0
        assert panel.y1 <= above.y0 < above.y1 <= figure.bbox.y1
        assert len(figure.legends[0].get_texts()) == count
        lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 4]
        looks = {(line.get_color(), line.get_marker()) for line in lines}
        assert len(looks) == len(lines) == count
        names = [t.get_window_extent() for t in figure.axes[0].get_xticklabels()]
        assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[:i])

    def test_of_many_sizes_those_have_a_number_that_have_room(self) -> None:
        many = [
            result(k, sample={"shots": k}, n_train=k, test_accuracy=0.5) for k in range(1, 60)
        ]  # fmt: skip
        axes = drawn(draw_few_shots(few_shot_curves(many))).axes[0]
        boxes = [t.get_window_extent() for t in axes.get_xticklabels()]
        assert len(boxes) > 5
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])

    def test_data_sets_have_panels_and_a_method_one_look(self) -> None:
        both = [*runs(), *runs("knn", first=5000), *runs("knn", first=9000, dataset="other",
                                                         fingerprint="g"),
                *runs(first=15000, dataset="other", fingerprint="g")]  # fmt: skip
        first, second = draw_few_shots(few_shot_curves(both), 0.6).axes
        assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("photos", "other")
        looks = [{line.get_color() for line in axes.lines if len(line.get_xdata()) == 4}
                 for axes in (first, second)]  # fmt: skip
        assert looks[0] == looks[1]
        with pytest.raises(UsageError, match="no few-shot runs: a recipe"):
            draw_few_shots([])


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    found = ResultStore(tmp_path / "results")
    some = [*runs(recipe="r"), *runs("knn", first=5000), result(9, rows_cached=1, recipe="r")]
    for one in some:
        found.save(one)
    return found


class TestCommands:
    def test_the_picture(self, featbench: Command, store: ResultStore, tmp_path: Path) -> None:
        said = featbench("plot", "fewshot", "--labels-needed", "60", "-o", "a.svg")
        assert (said.code, said.out) == (0, f"{tmp_path / 'a.svg'}\n")
        svg = (tmp_path / "a.svg").read_text()
        assert all(text in svg for text in ("frozen + knn", "frozen + logreg", "reaches 60%"))
        featbench("plot", "fewshot", "--recipe", "r", "-o", "r.svg")
        assert "knn" not in (tmp_path / "r.svg").read_text()
        one = next(r for r in store.all() if r.method == "knn")
        said = featbench("plot", "fewshot", one.run_id, "-o", "one.png")
        assert said.code == 0
        store.remove(one.run_id)
        other = featbench("plot", "fewshot", "-o", "one.pdf")
        assert "left out: 3 runs: other sizes of the same method lack their draw" in other.err

    def test_the_table(self, featbench: Command, store: ResultStore) -> None:
        said = featbench("table", "--labels-needed", "60")
        assert said.code == 0
        assert "a class for 60%" in said.out
        rows = json.loads(featbench("table", "--labels-needed", "60", "--json").out)
        assert {row["method"] for row in rows} == {"logreg", "knn"}
        only = featbench("table", "--labels-needed", "60", "--recipe", "r", "--format", "csv")
        assert len(only.out.splitlines()) == 2
        assert "percentile bootstrap" in only.err

    @pytest.mark.parametrize(("arguments", "said"), [
        (("table", "--labels-needed", "0.6"), "--labels-needed 0.6: is in per cent, such as 60"),
        (("table", "--labels-needed", "120"), "expected an accuracy in per cent"),
        (("table", "--labels-needed", "60", "--sort", "method"), "--sort: goes without --labels"),
        (("plot", "fewshot", "--labels-needed", "nan"), "expected an accuracy in per cent"),
        (("plot", "fewshot", "000000000009"), "is no few-shot run: it learned from all images"),
        (("plot", "fewshot", "--recipe", "q"), "no such runs. Recipes there: r"),
        (("plot", "fewshot", "-o", "a.gif"), "ends in .png, .svg, .pdf"),
    ])  # fmt: skip
    def test_what_cannot_be_is_said(
        self, featbench: Command, store: ResultStore, arguments: tuple[str, ...], said: str
    ) -> None:
        refused = featbench(*arguments)
        assert (refused.code, refused.out) == (2, "")
        assert said in " ".join(refused.err.split())

    def test_without_few_shot_runs_it_says_what_makes_them(
        self, featbench: Command, tmp_path: Path
    ) -> None:
        ResultStore(tmp_path / "results").save(result())
        for arguments in (("table", "--labels-needed", "60"), ("plot", "fewshot")):
            refused = featbench(*arguments)
            assert refused.code == 2
            assert 'protocol = "few-shot"' in " ".join(refused.err.split())


def test_an_interval_over_draws_needs_no_more_than_the_draws() -> None:
    """Means whose draws do not differ have intervals of no width, and one draw has none."""
    same = [one.model_copy(update={"test_accuracy": 0.5}) for one in runs()]
    (curve,) = few_shot_curves(same)
    bars = draw_few_shots([curve]).axes[0].lines[1:]
    assert np.ptp([bar.get_ydata() for bar in bars]) == 0


def test_a_recipe_of_few_shots_from_the_runs_to_the_report(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "few.toml").write_text(
        f'data = "{photos}"\nprotocol = "few-shot"\nseeds = [0, 1, 2]\nshots = [1, 2, 5]\n'
        '[[run]]\nnetwork = "lenet5"\nweights = "random"\nhead = ["ridge", "centroid"]\n'
    )
    ran = featbench("run", "few.toml")
    assert ran.code == 0, ran.err
    assert "centroid, shots=5, draw 2: test" in " ".join(ran.err.split())
    titles = [line for line in ran.out.splitlines() if line.startswith("### ")]
    assert titles == [f"### photos, {k} image{'s' * (k > 1)} a class" for k in (1, 2, 5)]
    rows = json.loads(featbench("table", "--json").out)
    assert [row["seeds"] for row in rows] == [[0, 1, 2]] * 6
    by_size = {k: [row for row in rows if row["n_per_class"] == k] for k in (1, 2, 5)}
    assert all(any(row["best"] for row in those) for those in by_size.values())
    assert featbench("plot", "fewshot", "--recipe", "few").code == 0
    assert json.loads(featbench("table", "--labels-needed", "40", "--json").out)[0]["draws"] == 3
    assert featbench("report", "-o", "r.html", "--labels-needed", "55").code == 0
    page = (tmp_path / "r.html").read_text()
    for part in ("Labels needed for 55%", "Few-shot curves", "learned from 5 images a class"):
        assert part in page, part
