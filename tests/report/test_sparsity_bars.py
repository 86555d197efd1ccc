"""Sparsity as table and bars: every call has its row, and a model its own bars."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from featbench.extraction import Sparsity
from featbench.networks import ActivationZeros
from featbench.report import draw_sparsity, sparsity_table
from tests.conftest import Said

Command = Callable[..., Said]


def found(*calls: tuple[str, int, int]) -> Sparsity:
    rows = (ActivationZeros(layer, "ReLU", call, zeros, 10) for layer, call, zeros in calls)
    return Sparsity(tuple(rows), {}, 5)


A = found(("a", 1, 1), ("b", 1, 2), ("b", 2, 3), ("d", 1, 4))
B = found(("a", 1, 5), ("b", 1, 6), ("c", 1, 7), ("d", 1, 8))


def test_calls_of_all_models_in_the_order_of_the_forward() -> None:
    assert sparsity_table({"A": A, "B": B}) == [
        ("a", 1, [0.1, 0.5]), ("b", 1, [0.2, 0.6]), ("c", 1, [None, 0.7]), ("b", 2, [0.3, None]),
        ("d", 1, [0.4, 0.8]),
    ]  # fmt: skip


def test_bars_are_grouped_by_layer_and_unlike_networks_have_panels() -> None:
    figure = draw_sparsity({"A": A, "B": B, "C": found(("x", 1, 9))})
    first, second = figure.axes
    assert [t.get_text() for t in first.get_yticklabels()] == ["a", "b", "c", "b#2", "d"]
    assert [t.get_text() for t in second.get_yticklabels()] == ["x"]
    assert [round(bar.get_width()) for bar in first.patches[:5]] == [10, 20, 0, 30, 40]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["A", "B", "C"]
    assert first.get_ylim()[0] > first.get_ylim()[1]  # the input is on top


@pytest.mark.parametrize("models", [1, 4])
def test_the_labels_of_49_calls_do_not_overlap(models: int) -> None:
    one = found(*[(f"layer{i // 9}.{i % 3}.relu", 1 + i % 3, i % 10) for i in range(49)])
    figure = draw_sparsity({f"model {i}": one for i in range(models)})
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    boxes.sort(key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 for low, high in itertools.pairwise(boxes))
    assert figure.legends[0].get_window_extent().y0 >= figure.axes[0].get_tightbbox().y1


def test_the_command_prints_a_table_and_draws(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    featbench("fit", "--backbone", "lenet5", "--data", photos, "--head", "logreg")
    featbench("fit", "--backbone", "lenet5", "--data", photos, "--head", "ridge")
    runs = [path.name for path in (tmp_path / "results").glob("*/")]
    options = ("plot", "sparsity", *runs, "--backbone", "cnn", "--data", photos)
    said = featbench(*options)
    assert said.code == 0
    assert "A  lenet5 (random), frozen: 18 images" in said.out  # two heads, one network
    assert "B  cnn (random), frozen: 18 images" in said.out
    assert "relu1" in said.out
    assert said.out.endswith(f"{tmp_path / 'sparsity.png'}\n")
    assert Image.open(io.BytesIO((tmp_path / "sparsity.png").read_bytes())).width == 1600
    answer = json.loads(featbench(*options, "--json", "-o", "s.svg", "--split", "train").out)
    assert answer["split"] == "train"
    assert {len(m["rows"]) for m in answer["models"].values()} >= {4}
    assert Path(answer["output"]).is_file()


def test_what_the_command_cannot_do_is_said(featbench: Command, photos: Path) -> None:
    for arguments, said in [
        ((), "name a run"),
        (("--backbone", "mlp-sigmoid"), "none of these networks has an activation"),
        (("--backbone", "lenet5", "-o", "x.bmp"), "ends in .png"),
        (("--backbone", "lenet5", "--split", "dev"), "has no split 'dev'"),
        (("--backbone", "lenet5", "--weights", "random", "--weights", "default"), "--weights"),
        (("beef",), "no run with an id"),
    ]:
        refused = featbench("plot", "sparsity", *arguments, "--data", photos)
        assert refused.code == 2
        assert said in refused.err.replace("\n", " "), refused.err


def test_a_trained_network_has_the_zeros_of_its_own_weights(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    tuned = featbench(
        "finetune", "--backbone", "lenet5", "--data", photos, "--blocks", "all", "--epochs", 2,
        "--set", "hidden=[8]", "--json",
    )  # fmt: skip
    run = json.loads(tuned.out)["run_id"]
    said = featbench("plot", "sparsity", run, "--backbone", "lenet5", "--data", photos, "--json")
    assert said.code == 0, said.err
    trained, frozen = json.loads(said.out)["models"].values()
    assert len(trained["rows"]) == len(frozen["rows"]) + 1  # the hidden layer's
    assert trained["rows"][0]["zeros"] != frozen["rows"][0]["zeros"]
    assert list(json.loads(said.out)["models"]) == ["lenet5 · from scratch",
                                                     "lenet5 (random), frozen"]  # fmt: skip
