"""Layer sweeps: accuracy against depth, layers in their order, a panel for each network."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.report import draw_layers, layer_sweeps
from featbench.statistics import t_interval, wilson_interval
from tests.conftest import Said
from tests.report.test_report import result

Command = Callable[..., Said]
LAYERS = ("maxpool", "layer1", "layer2", "features")


def runs(
    method: str = "logreg", *, first: int = 0, seeds: int = 1, layers: tuple[str, ...] = LAYERS,
    **fields: object,
) -> list[Result]:  # fmt: skip
    """Return a sweep's runs, the deepest first."""
    return [
        result(
            first + 10 * depth + seed, method=method, layer="" if at == "features" else at,
            seed=seed, test_accuracy=0.3 + 0.1 * depth + 0.01 * seed, rows_cached=1,
            parameters_total=1000 * depth + 7 * depth, parameters_trainable=7 * depth, **fields,
        )
        for depth, at in reversed(list(enumerate(layers))) for seed in range(seeds)
    ]  # fmt: skip


def test_runs_alike_but_for_the_layer_and_seed_are_one_sweep_in_the_networks_order() -> None:
    alone = result(999, method="mlp", rows_cached=1)
    trained = result(998, method="fine-tune", cut="layer4")
    logreg, knn = layer_sweeps([*runs(seeds=2), alone, trained, *runs("knn", first=5000, seeds=2)])
    assert logreg.layers == knn.layers == LAYERS
    assert logreg.accuracies[:, 0].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    assert (logreg.seeds, logreg.depths) == ((0, 1), (0, 1000, 2000, 3000))
    assert (logreg.label, knn.label) == ("random, frozen + logreg", "random, frozen + knn")


def test_a_seed_that_a_layer_lacks_is_left_out_and_counted() -> None:
    some = [one for one in runs(seeds=3) if not (one.seed == 2 and one.layer == "layer1")]
    (sweep,) = layer_sweeps(some)
    assert (sweep.seeds, sweep.left_out) == ((0, 1), 3)
    assert layer_sweeps([one for one in runs() if not one.layer]) == []


def test_few_shot_sweeps_are_lines_of_their_own() -> None:
    few = runs(first=5000, sample={"shots": 5}, n_per_class=5)
    drawn, whole = layer_sweeps([*few, *runs()])
    assert drawn.label == "5 a class"
    assert whole.label != drawn.label


def test_intervals_are_of_the_mean_over_seeds_or_of_the_test_images() -> None:
    (one,) = layer_sweeps(runs())
    assert one.intervals()[0] == pytest.approx(wilson_interval(0.3, 100))
    (three,) = layer_sweeps(runs(seeds=3))
    assert three.intervals()[0] == pytest.approx(t_interval([0.3, 0.31, 0.32]))


def test_a_line_goes_through_the_layers_by_name() -> None:
    some = [*runs(weights="bundled"), *runs("knn", first=5000, weights="bundled",
                                            layers=("layer1", "features"))]  # fmt: skip
    figure = draw_layers(layer_sweeps(some))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    names = [t.get_text().strip("\u200e\u2068\u2069") for t in axes.get_xticklabels()]
    assert names == list(LAYERS)
    lines = [line for line in axes.lines if line.get_marker() != "None"]
    assert list(lines[0].get_xdata()) == pytest.approx([0, 1, 2, 3], abs=0.1)
    assert list(lines[1].get_xdata()) == pytest.approx([1, 3], abs=0.1)
    assert list(lines[0].get_ydata()) == pytest.approx([30, 40, 50, 60])


def test_each_network_and_data_set_has_a_panel() -> None:
    some = [*runs(), *runs(first=5000, network="vgg16"),
            *runs(first=9000, dataset="other", fingerprint="g")]  # fmt: skip
    titles = [axes.get_title(loc="left") for axes in draw_layers(layer_sweeps(some)).axes]
    assert [
        title.replace("\u200e", "").replace("\u2068", "").replace("\u2069", "") for title in titles
    ] == ["photos · lenet5", "photos · vgg16", "other · lenet5"]
    with pytest.raises(UsageError, match="no layer sweep: a recipe"):
        draw_layers([])


@pytest.mark.parametrize("name", ["b", "encoder.layers.encoder_layer_", "שכבה-ארוכה-מאוד."])
@pytest.mark.parametrize(("count", "depth"), [(2, 5), (30, 24)])
def test_nothing_covers_anything(name: str, count: int, depth: int) -> None:
    layers = (*(f"{name}{i}" for i in range(depth)), "features")
    many = [
        one
        for i in range(count)
        for one in runs(f"head{i}", first=5000 * i, layers=layers, network="רשת")
    ]
    many = [one.model_copy(update={"test_accuracy": (one.test_accuracy or 0) / 4}) for one in many]
    figure = draw_layers(layer_sweeps(many))
    figure.draw_without_rendering()
    below, above = (legend.get_window_extent() for legend in figure.legends)
    panel = figure.axes[0].get_tightbbox()
    assert 0 <= below.x0 < below.x1 <= figure.bbox.x1
    assert 0 <= below.y0 < below.y1 <= panel.y0
    assert panel.x0 >= 0
    assert panel.y1 <= above.y0 < above.y1 <= figure.bbox.y1
    ticks = figure.axes[0].get_xticklabels()
    if ticks[0].get_rotation():
        steps = [
            b.get_window_extent().x1 - a.get_window_extent().x1 for a, b in pairwise(ticks[:-1])
        ]
        assert min(steps) >= 1.97 * ticks[0].get_fontsize()  # √2 · 100/72: pixels of a line, turned
    else:
        boxes = [t.get_window_extent() for t in ticks]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert figure.axes[0].get_window_extent().height > 300


class TestCommand:
    def test_it_draws_all_or_those_that_are_named(self, featbench: Command, tmp_path: Path) -> None:
        store = ResultStore(tmp_path / "results")
        for one in [*runs(), *runs("knn", first=5000, recipe="r")]:
            store.save(one)
        said = featbench("plot", "layers", "-o", "a.svg")
        assert (said.code, said.out) == (0, f"{tmp_path / 'a.svg'}\n")
        assert "logreg at layer2: test" in featbench("results", "ls").out
        svg = (tmp_path / "a.svg").read_text()
        assert all(text in svg for text in ("layer2", "frozen + knn", "frozen + logreg"))
        for chosen in (("--recipe", "r"), (runs("knn", first=5000)[0].run_id,)):
            assert featbench("plot", "layers", *chosen, "-o", "b.svg").code == 0
            svg = (tmp_path / "b.svg").read_text()
            assert "frozen + knn" in svg
            assert "logreg" not in svg

    def test_what_cannot_be_drawn_is_said(self, featbench: Command, tmp_path: Path) -> None:
        store = ResultStore(tmp_path / "results")
        for one in (result(1 << 40), result(2 << 40, method="fine-tune", cut="pixels")):
            store.save(one)
        for arguments, said in [
            ((), 'no layer sweep: a recipe with layers = "all"'),
            (("01",), "no layer sweep"),
            (("02",), "is no head on a layer: it trained the network"),
            (("-o", "a.jpg"), "ends in .png, .svg, .pdf"),
        ]:
            refused = featbench("plot", "layers", *arguments)
            assert (refused.code, refused.out) == (2, "")
            assert said in " ".join(refused.err.split())
