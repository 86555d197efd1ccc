"""The five studies' recipes run whole: on small data and weights, by the code that reads true ones.

What is set here is the number of epochs, how many runs a grid has and the pixels of the dearest
networks (an option of their names); all else is as written. The commands that a recipe's opening
shows are then typed, one after the other.
"""

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import models

from featbench.experiments import Result, ResultStore, load_recipe
from featbench.networks import create_network
from tests.conftest import Said
from tests.datasets.test_torchvision_sets import write_idx
from tests.experiments.studies import lay_cars, lay_stl10, lay_weights, write_zip

FOLDER = Path(__file__).parents[2] / "benchmarks"
Command = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where data sets and weights are looked for, by torchvision's rules."""
    monkeypatch.setenv("FEATBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield tmp_path
    shutil.rmtree(tmp_path / "results", ignore_errors=True)  # a GiB of VGG16's weights among it


def carry_out(
    featbench: Command,
    home: Path,
    study: str,
    *options: str,
    preset: str = "",
    epochs: int = 1,
    size: int = 0,
) -> list[Result]:
    """Run a recipe with few epochs and perhaps pixels; return its results, the first done first."""
    path = FOLDER / f"{study}.toml"
    place, chosen = "run", ()
    if preset:
        place, chosen = f"preset.{preset}.run", ("--preset", preset)
    tables = load_tables(path, preset)
    few = [f"--set={place}.{i}.train.epochs={epochs}" for i, table in enumerate(tables)
           if "blocks" in table]  # fmt: skip
    few += [f"--set={place}.{i}.network={table['network']}:size={size}"
            for i, table in enumerate(tables)
            if size and "sigmoid" not in table["network"]]  # fmt: skip
    said = featbench("run", path, *chosen, *few, *options, "--quiet")
    assert said.code == 0, said.err
    recipe = f"{study}:{preset}" if preset else study
    results = [r for r in ResultStore(home / "results").all() if r.recipe == recipe]
    assert {r.status for r in results} == {"ok"}, [r.error for r in results]
    return results


def load_tables(path: Path, preset: str) -> list[dict[str, Any]]:
    """Return a recipe's ``[[run]]`` tables, or a preset's own."""
    content = tomllib.loads(path.read_text())
    tables: list[dict[str, Any]] = content["preset"][preset]["run"] if preset else content["run"]
    return tables


def shown_commands(study: str) -> list[list[str]]:
    """Return the commands that a recipe's opening shows, but for those that run it."""
    opening = re.match(r"(#.*\n)+", (FOLDER / f"{study}.toml").read_text())
    assert opening is not None
    lines = re.findall(r"^#[ \w:]* featbench ((?!run ).*)$", opening[0], re.MULTILINE)
    assert lines
    return [shlex.split(line) for line in lines]


def type_in(featbench: Command, study: str, image: Path | None = None) -> list[Said]:
    """Type the commands that a recipe's opening shows."""
    answers = []
    for words in shown_commands(study):
        said = featbench(*(str(image) if word == "IMAGE" else word for word in words))
        assert said.code == 0, (words, said.err)
        answers.append(said)
    return answers


def named(results: list[Result]) -> dict[str, Result]:
    return {result.name: result for result in results}


@pytest.mark.slow
def test_five_networks(featbench: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_stl10(home / "data", monkeypatch)
    lay_weights(home / "torch", "mobilenet_v2")
    results = named(carry_out(featbench, home, "five-networks"))
    assert list(results) == ["logistic", "fcnet", "cnn", "frozen", "learned"]
    figures = [r.published_test_accuracy for r in results.values()]
    assert figures == [0.281, 0.354, 0.597, 0.643, 0.809]
    assert {tuple(r.preprocessing["crop"]) for r in results.values()} == {(64, 64)}
    assert {r.preprocessing["resize"] for r in results.values()} == {72}
    assert results["frozen"].parameters_trainable == 1280 * 128 + 128 + 128 * 3 + 3
    assert results["learned"].cut == "pixels"
    at = "preset.grid.run"
    fewer = [f"--set={at}.{i}.{key}" for i in (0, 1) for key in
             ("network=fcnet:hidden=8", "train.batch=[64,128]", "train.lr=1e-3")]  # fmt: skip
    grid = carry_out(
        featbench, home, "five-networks", *fewer, f"--set={at}.2.tune=3", preset="grid"
    )
    assert len(grid) == 2 * 2 * 2 + 1
    assert len(grid[-1].ledger) == 3
    said = type_in(featbench, "five-networks")
    assert "fc3" in said[3].out  # parameters a layer
    assert len(said[4].out.splitlines()) > len(grid)


@pytest.mark.slow
def test_lenet_regularisers(featbench: Command, home: Path) -> None:
    raw = home / "data" / "fashion-mnist" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        write_idx(raw / f"{part}-images-idx3-ubyte", rng.integers(0, 255, (count, 28, 28)))
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    results = carry_out(featbench, home, "lenet-regularisers", epochs=2)
    assert len(results) == 4
    whole = load_recipe(FOLDER / "lenet-regularisers.toml").runs
    figures = [run.published["test_accuracy"] for run in whole if run.published]
    assert figures == [0.8854, 0.8755, 0.8966, 0.8817]
    type_in(featbench, "lenet-regularisers")


@pytest.mark.slow
def test_frozen_vgg_resnet(featbench: Command, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_stl10(home / "data", monkeypatch)
    lay_weights(home / "torch", "vgg16", "resnet50")
    results = carry_out(featbench, home, "frozen-vgg-resnet", size=64)
    assert [(r.name, r.seed, r.init_seed) for r in results] == [
        ("first", 0, 0), ("first", 1, 0), ("second", 0, 0), ("second", 1, 0),
        ("two-layers", 0, None), ("one-layer", 0, None),
    ]  # fmt: skip
    assert {r.weights for r in results[:4]} == {"IMAGENET1K_V1"}
    assert [r.parameters_trainable for r in results[:4]] == [3 * 4097] * 2 + [3 * 2049] * 2
    assert {r.preprocessing["mean"][0] for r in results[:4]} == {0.485}
    assert [r.published_test_accuracy for r in results[4:]] == [0.949, 0.9335]
    assert all(0.25 < r.n_test / 1797 < 0.35 for r in results[4:])
    type_in(featbench, "frozen-vgg-resnet")


@pytest.mark.slow
def test_cars(featbench: Command, home: Path) -> None:
    lay_cars(home / "data")
    lay_weights(home / "torch", "resnet50")
    results = carry_out(featbench, home, "cars-resnet50", size=64)
    assert [(r.name, r.method) for r in results] == [
        ("scratch", "fine-tune"), ("frozen", "fine-tune"), ("svm", "svm-poly"),
        ("svm", "svm-rbf"), ("svm", "svm-linear"), ("svm", "svm-sigmoid"), ("block", "fine-tune"),
        ("gentle", "fine-tune"),
    ]  # fmt: skip
    by_name = named(results)
    for name, rate in (("block", 1e-3), ("gentle", 1e-4)):
        assert by_name[name].init_from == [by_name["frozen"].run_id]
        assert by_name[name].cut == "layer4"
        assert by_name[name].settings["lr"] == rate
    written = [run.published for run in load_recipe(FOLDER / "cars-resnet50.toml").runs]
    figures = [found and found["test_accuracy"] for found in written]
    assert figures == [0.085, 0.358, 0.347, None, None, None, 0.666, None]
    image = home / "data/stanford-cars/stanford_cars/cars_test/00001.jpg"
    said = type_in(featbench, "cars-resnet50", image)
    assert said[1].out.count("%") == 3, "the class and confidence of each of three models"


def test_the_weights_of_the_frozen_networks_bring_the_preprocessing_of_the_study() -> None:
    runs = load_recipe(FOLDER / "frozen-vgg-resnet.toml").runs[:4]
    assert {(run.network, run.weights) for run in runs} == {
        ("vgg16", "IMAGENET1K_V1"), ("resnet50", "IMAGENET1K_V1"),
    }  # fmt: skip
    for name in ("VGG16", "ResNet50"):
        steps = getattr(models, f"{name}_Weights").IMAGENET1K_V1.transforms()
        assert (steps.resize_size, steps.crop_size, steps.mean[0]) == ([256], [224], 0.485)


def test_the_trainable_parameters_that_the_cars_study_reports() -> None:
    network = create_network("resnet50", "random", classes=196)
    assert network.parameters("all") == (23_909_636, 23_909_636)
    assert network.parameters(0)[1] == 401_604
    assert network.parameters(1)[1] == 15_366_340


@pytest.mark.slow
def test_smoking_stages(featbench: Command, home: Path) -> None:
    write_zip(home / "smoking-820.zip", ("no", "yes"), 40, 6, 2)
    write_zip(home / "cifar10-30k.zip", ("cat", "dog", "frog"), 32, 6, 2)
    lay_weights(home / "torch", "resnet18")
    results = carry_out(featbench, home, "smoking-stages", size=64)
    assert [r.name for r in results] == [
        "plain", "decay", "rotation", "second-dropout", "slower", "copies", "transfer",
        "transfer-rotation", "transfer-copies", "pets", "pets-decay", "pets-rotation",
        "pets-transfer", "pets-transfer", "pets-transfer",
    ]  # fmt: skip
    stages = results[:6]
    assert [r.init_from for r in stages] == [[one.run_id for one in stages[:i]] for i in range(6)]
    assert {tuple(r.preprocessing["mean"]) for r in stages} == {(0.5, 0.5, 0.5)}
    written = load_recipe(FOLDER / "smoking-stages.toml").runs[:6]
    assert {create_network(run.network).preprocessing.shape for run in written} == {(3, 256, 256)}
    assert [r.n_copies for r in results[5:9]] == [
        2 * results[5].n_train,
        0,
        0,
        2 * results[8].n_train,
    ]
    assert {r.n_classes for r in results} == {2}
    assert [r.settings["batch"] for r in results[12:]] == [32, 54, 64]
    type_in(featbench, "smoking-stages")


@pytest.mark.parametrize(
    ("study", "options"),
    [
        ("five-networks", ["--data=digits", "--backbone=efficientnet_lite0"]),
        ("frozen-vgg-resnet", ["--data=digits", "--backbone=vgg16=efficientnet_lite0",
                               "--backbone=resnet50=efficientnet_lite1"]),
        ("cars-resnet50", ["--data=digits", "--backbone=efficientnet_lite0"]),
    ],
)  # fmt: skip
def test_stand_ins_have_no_published_figures_beside_them(study: str, options: list[str]) -> None:
    given = [option.split("=", 1) for option in options]
    data = [value for name, value in given if name == "--data"]
    backbones = [value for name, value in given if name == "--backbone"]
    path = FOLDER / f"{study}.toml"
    runs = load_recipe(path, data=data, backbone=backbones).runs
    others = [run for run in runs if run.data == "digits"]
    assert others
    assert all(run.published is None for run in others)
    assert {run.network.partition(":")[0] for run in others} <= {
        "logistic", "fcnet", "cnn", "efficientnet_lite0", "efficientnet_lite1",
    }  # fmt: skip
    assert {run.weights for run in others} <= {"default", "random"}
