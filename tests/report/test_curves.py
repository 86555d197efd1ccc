"""Training curves: every run can be told from the others, and the picture is one that was asked."""

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from featbench.errors import UsageError
from featbench.experiments import Result
from featbench.report import (
    Curve,
    as_svg,
    curves_of,
    draw_curves,
    label_of,
    labels_among,
    method_name,
    save_figure,
)
from featbench.report._drawing import COLOURS, MARKERS
from tests.conftest import Said
from tests.report.test_report import HOSTILE, result

Command = Callable[..., Said]
FINE_TUNE = {"method": "fine-tune", "cut": "pixels"}
STAGE = {"method": "fine-tune", "weights": "run:1", "init_from": ["1"], "init_weights": "random"}


def history(epochs: int = 5, lowest: float = 0.5, *, validated: bool = True) -> pd.DataFrame:
    rows = pd.DataFrame({"epoch": range(1, epochs + 1)})
    rows["train_loss"] = [2.0 - (2.0 - lowest) * e / epochs for e in range(1, epochs + 1)]
    rows["train_accuracy"] = rows["epoch"] / epochs
    if validated:
        rows["val_loss"], rows["val_accuracy"] = rows["train_loss"] + 0.1, 0.5
    return rows


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


class TestNames:
    @pytest.mark.parametrize(("fields", "name"), [
        ({"rows_cached": 9}, "random, frozen + logreg"),
        ({"rows_cached": 9, "weights": "bundled"}, "frozen + logreg"),
        ({}, "logreg"),
        ({"rows_computed": 9, "weights": "b", "approximate": "Nyström"},
         "frozen + logreg (approximate)"),
        (FINE_TUNE, "from scratch"),
        ({**FINE_TUNE, "weights": "bundled"}, "fine-tune all"),
        ({**FINE_TUNE, "weights": "b", "settings": {"warm_start": "ridge"}},
         "fine-tune all from ridge (LP-FT)"),
        ({"method": "fine-tune", "weights": "b", "cut": "blocks.6"}, "fine-tune blocks.6"),
        ({**FINE_TUNE, "weights": "run:1", "init_from": ["2", "1"]}, "fine-tune all, stage 3"),
        ({**STAGE, "cut": "pixels"}, "from scratch, stage 2"),
        ({**STAGE, "cut": "blocks.6"}, "fine-tune blocks.6, stage 2"),
        ({**STAGE, "cut": "classifier"}, "frozen + classifier trained, stage 2"),
        ({"method": "fine-tune", "cut": "blocks.6"}, "random, fine-tune blocks.6"),
        ({"method": "fine-tune", "weights": "b"}, "frozen + classifier trained"),
    ])  # fmt: skip
    def test_a_method_is_called_what_the_field_calls_it(
        self, fields: dict[str, object], name: str
    ) -> None:
        assert method_name(result(**fields)) == name

    def test_runs_are_named_by_what_differs_alone(self) -> None:
        plain = {"lr": 0.01, "weight_decay": 0.0, "warm_start": None}
        runs = [
            result(**FINE_TUNE, settings=plain),
            result(2, **FINE_TUNE, settings={**plain, "weight_decay": 0.1}),
            result(3, **FINE_TUNE, settings={**plain, "lr": 0.1}, network="cnn"),
        ]
        assert labels_among(runs) == [
            "lenet5 · lr=0.01", "lenet5 · lr=0.01 · weight_decay=0.1", "cnn · lr=0.1"
        ]  # fmt: skip

    def test_settings_that_only_one_method_has_are_no_difference(self) -> None:
        runs = [result(**FINE_TUNE, settings={"batch": 9}), result(2, settings={"C": 1})]
        assert labels_among(runs) == ["from scratch", "logreg"]

    def test_runs_alike_are_told_apart_by_seed_and_else_by_their_id(self) -> None:
        runs = [result(**FINE_TUNE), result(2, **FINE_TUNE, seed=1)]
        assert labels_among(runs) == ["seed 0", "seed 1"]
        same = [result(**FINE_TUNE), result(2 << 40, **FINE_TUNE)]
        assert len(set(labels_among(same))) == 2
        assert labels_among(same)[0].startswith(label_of(same[0]))

    def test_names_that_a_recipe_gave_stand_for_the_rest_where_each_run_has_one(self) -> None:
        def called(number: int, name: str, recipe: str = "study") -> Result:
            return result(number, **FINE_TUNE, seed=number, name=name, recipe=recipe)

        assert labels_among([called(1, "plain"), called(2, "decay")]) == ["plain", "decay"]
        seeds = [called(1, "plain"), called(2, "plain"), called(2, "decay")]
        assert labels_among(seeds) == ["plain · seed 1", "plain · seed 2", "decay · seed 2"]
        for other in (called(1, "plain"), called(2, ""), called(2, "decay", "another")):
            assert "plain" not in labels_among([called(1, "plain"), other])

    def test_settings_of_a_warm_starts_head_count(self) -> None:
        def warm(number: int, c: float) -> Result:
            settings = {"warm_start": "logreg", "warm_start_settings": {"C": c}}
            return result(number, **FINE_TUNE, settings=settings)

        assert labels_among([warm(1, 1.0), warm(2, 0.1)]) == ["start C=1.0", "start C=0.1"]
        cold = result(3, **FINE_TUNE)
        assert labels_among([cold, warm(1, 1.0)]) == [
            "from scratch", "from scratch from logreg (LP-FT)"
        ]  # fmt: skip


class TestDrawing:
    def test_both_panels_show_train_and_validation_and_the_epoch_kept(self) -> None:
        figure = draw_curves([Curve("one", history(), best_epoch=4)])
        losses, accuracies = figure.axes
        assert (losses.get_xlabel(), losses.get_ylabel()) == ("epoch", "loss (cross-entropy, nats)")
        assert accuracies.get_ylabel() == "accuracy (%)"
        train, val, best = losses.lines
        assert list(train.get_ydata()) == list(history()["train_loss"])
        assert list(val.get_ydata()) == list(history()["val_loss"])
        assert (list(best.get_xdata()), list(best.get_ydata())) == ([4], [history()["val_loss"][3]])
        assert list(accuracies.lines[1].get_ydata()) == [50.0] * 5

    def test_without_validation_the_markers_are_on_training(self) -> None:
        figure = draw_curves([Curve("one", history(validated=False))])
        assert [t.get_text() for t in figure.legends[1].get_texts()] == ["training"]
        assert list(figure.axes[0].lines[1].get_ydata()) == list(history()["train_loss"])

    def test_many_runs_have_looks_of_their_own(self) -> None:
        looks = {(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i in range(63)}
        assert len(looks) == 63

    @pytest.mark.parametrize("label", ["short", "setting=1 · " * 20])
    def test_the_legend_stays_inside_and_below_the_panels(self, label: str) -> None:
        figure = draw_curves([Curve(f"{label}{i}", history()) for i in range(9)])
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= min(axes.get_tightbbox().y0 for axes in figure.axes)
        assert len(legend_of(figure)) == 9

    def test_losses_far_apart_are_drawn_on_a_log_scale_with_plain_numbers(self) -> None:
        assert draw_curves([Curve("a", history())]).axes[0].get_yscale() == "linear"
        figure = draw_curves([Curve("a", history(lowest=0.001, validated=False))])
        figure.draw_without_rendering()
        assert figure.axes[0].get_yscale() == "log"
        texts = {t.get_text() for t in figure.axes[0].get_yticklabels()}
        assert {"0.01", "1"} <= texts

    def test_losses_of_two_kinds_are_said_to_be(self) -> None:
        curves = [Curve("a", history()), Curve("b", history(), loss="mse")]
        assert "more than one kind" in draw_curves(curves).axes[0].get_ylabel()

    def test_text_of_names_is_text(self) -> None:
        figure = draw_curves([Curve(f"$x_1$ {HOSTILE}", history()), Curve("b", history())])
        assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
        assert "<script>" not in as_svg(figure)

    @pytest.mark.parametrize(("suffix", "begins"), [
        ("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG"),
    ])  # fmt: skip
    def test_a_picture_is_what_its_name_says_and_the_same_again(
        self, tmp_path: Path, suffix: str, begins: bytes
    ) -> None:
        path = tmp_path / "deep" / f"a.{suffix}"
        assert save_figure(draw_curves([Curve("a", history())]), path) == path.resolve()
        first = path.read_bytes()
        assert first.startswith(begins)
        save_figure(draw_curves([Curve("a", history())]), path)
        assert path.read_bytes() == first

    def test_another_name_is_refused(self, tmp_path: Path) -> None:
        figure = draw_curves([Curve("a", history())])
        with pytest.raises(UsageError, match=r"ends in \.png, \.svg, \.pdf"):
            save_figure(figure, tmp_path / "a.jpg")
        with pytest.raises(UsageError, match="is a folder"):
            save_figure(figure, tmp_path)

    def test_results_become_curves(self) -> None:
        runs = [(result(**FINE_TUNE, best_epoch=2, settings={"loss": "mse"}), history())]
        (curve,) = curves_of(runs)
        assert (curve.label, curve.best_epoch, curve.loss) == ("lenet5 · from scratch", 2, "mse")


class TestCommand:
    def test_it_overlays_runs_and_says_where(self, featbench: Command, tmp_path: Path) -> None:
        from featbench.experiments import ResultStore

        store = ResultStore(tmp_path / "results")
        rows = history().to_dict("records")
        store.save(result(1 << 40, **FINE_TUNE, recipe="r"), history=rows)
        store.save(result(2 << 40, **FINE_TUNE, recipe="r", seed=1), history=rows)
        store.save(result(3 << 40, recipe="r"))
        for seed in (0, 1):
            again = result(4 + seed << 40, **FINE_TUNE, recipe="s", name="deep", seed=seed)
            store.save(again, history=rows)
        assert featbench("plot", "curves", "s/deep", "-o", "s.svg").code == 0
        assert "deep · seed 1" in (tmp_path / "s.svg").read_text()
        drawn = featbench("plot", "curves", "01", "02")
        assert (drawn.code, drawn.out) == (0, f"{tmp_path / 'curves.png'}\n")
        assert Image.open(io.BytesIO((tmp_path / "curves.png").read_bytes())).width == 1800
        whole = featbench("plot", "curves", "--recipe", "r", "-o", "x/c.svg")
        assert (whole.code, whole.out) == (0, f"{tmp_path / 'x/c.svg'}\n")
        assert "left out: 1 run of r without epochs" in whole.err
        assert "seed 1" in (tmp_path / "x/c.svg").read_text()

    def test_what_cannot_be_drawn_is_said(self, featbench: Command, tmp_path: Path) -> None:
        from featbench.experiments import ResultStore

        ResultStore(tmp_path / "results").save(result(1 << 40, recipe="r"))
        for arguments, said in [
            (("01",), "logreg has no history of epochs"),
            (("--recipe", "r"), "logreg has no history of epochs"),
            (("77",), "no run with an id that begins with '77'"),
            (("--recipe", "q"), "no such runs. Recipes there: r"),
            (("01", "-o", "c.gif"), "ends in .png, .svg, .pdf"),
            ((), "name a run"),
        ]:
            refused = featbench("plot", "curves", *arguments)
            assert (refused.code, refused.out) == (2, "")
            assert said in refused.err.replace("\n", " ")
