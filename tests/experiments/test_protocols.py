"""Protocols are ordinary settings, and what a recipe says itself has the last word."""

from itertools import pairwise
from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Run, Session, load_recipe
from featbench.experiments._sweep import layers_to_sweep

HEAD = '[[run]]\nnetwork = "lenet5"\n'
TRAIN = '[[run]]\nnetwork = "lenet5"\nblocks = 1\n'


def runs_of(text: str, tmp_path: Path, preset: str | None = None) -> list[Run]:
    path = tmp_path / "r.toml"
    path.write_text(text)
    return load_recipe(path, preset=preset).runs


def test_a_linear_probe_tries_45_penalties_on_the_features_as_they_are(tmp_path: Path) -> None:
    (run,) = runs_of('protocol = "linear-probe"\n' + HEAD, tmp_path)
    values = run.selection.space["C"]
    assert (run.head, run.selection.tune, run.settings) == (
        "logreg",
        "grid",
        {"preprocess": "none"},
    )
    assert len(values) == 45
    # the penalties are 1e-6 to 1e5, the weakest first: C is their inverse
    assert (values[0], values[-1]) == (1e6, 1e-5)
    ratios = [a / b for a, b in pairwise(values)]
    assert ratios == pytest.approx([10 ** (11 / 44)] * 44, rel=1e-4)
    assert "tune grid: 45 of C" in run.describe()


def test_a_linear_probe_is_chosen_on_val_and_refitted(photos: Path, tmp_path: Path) -> None:
    text = f'data = "{photos}"\nprotocol = "linear-probe"\n' + HEAD
    (run,) = runs_of(text, tmp_path)
    result = Session(cache=tmp_path / "c", results=tmp_path / "r").run(run)
    assert len(result.ledger) == 45
    assert [one["settings"]["C"] for one in result.ledger] == run.selection.space["C"]
    assert result.n_train == 30
    assert 0 < result.n_val < 15
    assert result.settings["preprocess"] == "none"


def test_few_shots_are_sizes_and_draws(tmp_path: Path) -> None:
    text = 'protocol = "few-shot"\n' + HEAD + 'head = ["logreg", "knn"]\n' + TRAIN
    runs = runs_of(text, tmp_path)
    assert {(r.method, r.sample.shots, r.seed) for r in runs} == {
        (m, k, s) for m in ("logreg", "knn", "fine-tune") for k in (1, 2, 5, 10) for s in range(10)
    }
    assert all(r.settings == {"select": "last"} for r in runs if r.blocks)
    assert not any(r.selection.tune for r in runs)
    assert "shots=1, draw 0" in runs[0].describe()


def test_vtab_is_800_and_200(tmp_path: Path) -> None:
    head, tuned = runs_of('protocol = "vtab-1k"\n' + HEAD + TRAIN, tmp_path)
    assert head.sample.describe() == tuned.sample.describe() == {"n_train": 800, "n_val": 200}
    assert head.selection.tune == "grid"
    assert tuned.settings == {"refit": True}


def test_what_a_recipe_says_itself_has_the_last_word(tmp_path: Path) -> None:
    own = 'protocol = "few-shot"\nseeds = [7]\n' + HEAD + "shots = 3\n"
    assert [(r.sample.shots, r.seed) for r in runs_of(own, tmp_path)] == [(3, 7)]
    searched = HEAD + 'protocol = "linear-probe"\nsearch.logreg = { C = [1, 2] }\n'
    (run,) = runs_of(searched + 'set.logreg = { preprocess = "l2" }\n', tmp_path)
    assert (run.selection.space, run.settings) == ({"C": [1, 2]}, {"preprocess": "l2"})
    (run,) = runs_of(HEAD + 'protocol = "linear-probe"\nset.logreg = { C = 1 }\n', tmp_path)
    assert (run.selection.tune, run.settings["C"]) == (0, 1)
    # a run's own protocol stands above what the recipe says for all
    runs = runs_of("seeds = [7]\n" + HEAD + 'protocol = "few-shot"\n' + TRAIN, tmp_path)
    assert len([r for r in runs if r.head]) == 40
    assert [r.seed for r in runs if r.blocks] == [7]
    quick = own.replace("seeds = [7]\n", "") + "[preset.quick]\nseeds = [5]\nshots = 1\n"
    (run,) = runs_of(quick, tmp_path, "quick")
    assert (run.sample.shots, run.seed) == (1, 5)


def test_repeats_are_seeds(tmp_path: Path) -> None:
    assert [r.seed for r in runs_of("repeats = 3\n" + HEAD + 'head = "knn"\n', tmp_path)] == [
        0,
        1,
        2,
    ]
    runs = runs_of("seeds = [4, 5]\n" + HEAD + 'head = "knn"\nrepeats = 1\n', tmp_path)
    assert [r.seed for r in runs] == [0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('protocol = "few-shots"\n' + HEAD, "'few-shots': .* did you mean 'few-shot'"),
        ("repeats = 2\nseeds = [0]\n" + HEAD + 'head = "knn"\n', "give it or seeds"),
        (
            HEAD + 'head = "knn"\nsearch.knn = { kay = [1] }\ntune = "grid"\n',
            r"run\[0\]: unknown key search.knn.kay; did you mean 'k'",
        ),
        (HEAD + 'head = "knn"\nsearch.logreg = { C = [1] }\ntune = 3\n', "search.logreg is for"),
        (HEAD + 'head = "logreg"\nsearch.logreg = { C = [1] }\n', "search.logreg goes with tune"),
        (HEAD + 'head = "logreg"\ntune = 1\nsearch.logreg = { C = [] }\n', "a list of values"),
        (HEAD + 'head = "logreg"\ntune=1\nset.logreg={C=1}\nsearch.logreg={C=[1]}\n', "both set"),
        (HEAD + 'head = "knn"\nshots = 0\n', r"run\[0\]: shots 0"),
        (HEAD + 'head = "knn"\nshots = 1\nn_val = 1\n', "one or the other"),
        (HEAD + 'head = "knn"\nlayers = "conv9"\n', "no layer 'conv9'; did you mean 'conv"),
        (TRAIN + 'layers = "all"\n', "layers and search go with head"),
    ],
)
def test_what_is_wrong_is_named(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=expected):
        runs_of(text, tmp_path)


def test_all_layers_are_the_ends_of_blocks() -> None:
    layers = layers_to_sweep("resnet18", "all")
    assert layers[-4:] == ["layer2", "layer3", "layer4", "features"] or layers[-1] == "features"
    assert len(layers) == len(set(layers)) >= 5
    assert layers_to_sweep("resnet18", None) == ["features"]
    assert layers_to_sweep("resnet18", ["layer3", "features"]) == ["layer3", "features"]


def test_a_sweep_extracts_once_and_fits_a_head_a_layer(photos: Path, tmp_path: Path) -> None:
    text = f'data = "{photos}"\n' + HEAD + 'weights = "random"\nhead = "ridge"\nlayers = "all"\n'
    runs = runs_of(text, tmp_path)
    here = Session(cache=tmp_path / "c", results=tmp_path / "r")
    here.open_data(runs)
    results = list(here.run_all(runs))
    assert [r.status for r in results] == ["ok"] * len(runs)
    assert [r.layer or "features" for r in results] == [run.layer for run in runs]
    assert len(runs) >= 4
    assert [r.rows_computed for r in results] == [48] + [0] * (len(runs) - 1)
    below = [(r.parameters_total or 0) - (r.parameters_trainable or 0) for r in results]
    assert below == sorted(below)
    assert len({r.run_id for r in results}) == len(runs)
    assert list(here.run_all(runs)) == results
    plain = Session(cache=tmp_path / "c2", results=tmp_path / "r2").run(runs[-1])
    assert plain.run_id == results[-1].run_id  # a run of the features is no other run in a sweep


def test_a_head_on_a_layer_predicts_pictures(photos: Path, tmp_path: Path) -> None:
    from featbench.datasets import given_images
    from featbench.experiments import find_model

    here = Session(cache=tmp_path / "c", results=tmp_path / "r")
    layer = layers_to_sweep("lenet5", "all")[0]
    result = here.run(Run(str(photos), "lenet5", head="centroid", layer=layer))
    model = find_model(result.run_id, here.store)
    pictures = given_images([str(p) for p in sorted((photos / "test").rglob("*.jpg"))])
    answers = model.predict(pictures, model.create_network(), cache=tmp_path / "c")
    right = [name.split("/")[-2] == model.classes[i]
             for name, i in zip(answers.ids, answers.predicted.tolist(), strict=True)]  # fmt: skip
    assert sum(right) / 18 == result.test_accuracy
