"""A recipe is expanded to a grid, and what is misspelt in it is named."""

from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Run, load_recipe, parse_changes

GOOD = """
data = "digits"
seeds = [0, 1]

[[run]]
network = "resnet18"
weights = ["default", "random"]
head = ["logreg", "svm-poly"]
set.svm-poly = { C = [1, 10], degree = 2 }

[[run]]
network = "lenet5"
blocks = [1, "all"]
warm_start = "logreg"
train = { lr = [1e-3, 1e-2], epochs = 5 }

[preset.quick]
limit = 7
seeds = [3]
train.epochs = 1

[[published]]
match = { network = "resnet18", method = "svm-poly" }
test_accuracy = 0.347
source = "a report"
"""


BARE = '[[run]]\nnetwork="lenet5"\nhead="mlp"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_list_anywhere_is_an_axis(tmp_path: Path) -> None:
    runs = load_recipe(written(tmp_path, GOOD)).runs
    heads = [r for r in runs if r.head]
    trained = [r for r in runs if r.blocks is not None]
    assert len(heads) == 2 * 2 * (1 + 2)
    assert len(trained) == 2 * 2 * 2
    assert {tuple(r.settings.items()) for r in heads if r.head == "svm-poly"} == {
        (("C", 1), ("degree", 2)),
        (("C", 10), ("degree", 2)),
    }
    assert {(r.blocks, r.settings["lr"], r.seed) for r in trained} == {
        (b, lr, s) for b in (1, "all") for lr in (1e-3, 1e-2) for s in (0, 1)
    }
    assert all(r.recipe == "study" and r.warm_start == "logreg" for r in trained)


def test_runs_that_share_features_follow_each_other(tmp_path: Path) -> None:
    runs = [r for r in load_recipe(written(tmp_path, GOOD)).runs if r.head]
    shared = [(r.network, r.weights, r.seed) for r in runs]
    assert len(list(dict.fromkeys(shared))) == sum(
        a != b for a, b in zip(shared, [None, *shared], strict=False)
    )


def test_a_setting_that_is_a_list_needs_a_list_of_lists(tmp_path: Path) -> None:
    text = '[[run]]\nnetwork = "lenet5"\nhead = "mlp"\nset.mlp = { hidden = %s }'
    one = load_recipe(written(tmp_path, text % "[100, 50]")).runs
    two = load_recipe(written(tmp_path, text % "[[], [100, 50]]")).runs
    assert [r.settings["hidden"] for r in one] == [[100, 50]]
    assert [r.settings["hidden"] for r in two] == [[], [100, 50]]


def test_a_preset_has_the_last_word(tmp_path: Path) -> None:
    runs = load_recipe(written(tmp_path, GOOD), preset="quick").runs
    assert {r.limit for r in runs} == {7}
    assert {r.seed for r in runs} == {3}
    assert {r.settings["epochs"] for r in runs if r.blocks is not None} == {1}
    assert {r.recipe for r in runs} == {"study:quick"}
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        load_recipe(written(tmp_path, GOOD), preset="quik")


def test_changes_from_the_command_line(tmp_path: Path) -> None:
    changes = parse_changes(["run.1.train.epochs=2", "seeds=[9]", "run.0.weights=random"])
    runs = load_recipe(written(tmp_path, GOOD), changes=changes, data="photos.zip").runs
    assert {r.settings["epochs"] for r in runs if r.blocks is not None} == {2}
    assert {(r.seed, r.weights) for r in runs if r.head} == {(9, "random")}
    assert {r.data for r in runs} == {"photos.zip"}
    for wrong in ("epochs", "=3"):
        with pytest.raises(UsageError, match="expected name=value"):
            parse_changes([wrong])
    with pytest.raises(UsageError, match="no such place"):
        load_recipe(written(tmp_path, GOOD), changes={"run.7.head": "mlp"})


def test_what_is_typed_stands_above_the_preset(tmp_path: Path) -> None:
    def runs_with(*texts: str) -> list[Run]:
        changes = parse_changes(list(texts))
        return load_recipe(written(tmp_path, GOOD), preset="quick", changes=changes).runs

    trained = [r for r in runs_with("limit=9", "run.1.train.epochs=4") if r.blocks is not None]
    assert {(r.limit, r.seed, r.settings["epochs"]) for r in trained} == {(9, 3, 4)}
    assert {r.limit for r in runs_with("preset.quick.limit=5")} == {5}
    by_run = runs_with("run.0.limit=2", "run.0.set.svm-poly.C=[3]")
    assert {(r.head, r.limit) for r in by_run} == {("logreg", 2), ("svm-poly", 2), (None, 7)}
    assert {r.settings.get("C") for r in by_run if r.head == "svm-poly"} == {3}


@pytest.mark.parametrize(
    ("text", "preset", "expected"),
    [
        ("preset.quikc.limit=3", "quick", "has no preset 'quikc'; did you mean 'quick'"),
        ("preset.quick.limit=3", None, "changes nothing without --preset quick"),
        ("run.0.weights=[random]", None, "is not TOML; texts in lists"),
        ("run.0.network.9=cnn", None, "no such place"),
        ("limit=true", "quick", "limit=True: expected a whole number"),
        ("run.1.train.epoch=3", "quick", r"run\[1\]: unknown key train.epoch; .*'epochs'"),
    ],
)
def test_a_change_that_would_be_lost_is_refused(
    text: str, preset: str | None, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=expected):
        load_recipe(written(tmp_path, GOOD), preset=preset, changes=parse_changes([text]))


def test_a_preset_for_training_needs_a_run_that_trains(tmp_path: Path) -> None:
    path = written(tmp_path, BARE + "[preset.q]\ntrain.epochs = 1")
    with pytest.raises(UsageError, match="preset: train is for blocks"):
        load_recipe(path, preset="q")


def test_a_mark_at_the_files_beginning_is_no_part_of_it(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path, "\ufeff" + BARE)).runs


def test_another_backbone_replaces_the_pretrained_ones_alone(tmp_path: Path) -> None:
    runs = load_recipe(written(tmp_path, GOOD), backbone="efficientnet_lite0").runs
    assert {r.network for r in runs} == {"efficientnet_lite0", "lenet5"}


def test_settings_of_a_published_figure_may_be_in_any_order(tmp_path: Path) -> None:
    text = (
        '[[run]]\nnetwork="lenet5"\nblocks=1\ntrain={lr=0.1, epochs=2}\n[[published]]\n'
        'match={settings={epochs=2, lr=0.1}}\ntest_accuracy=0.5\nsource="s"'
    )
    assert [r.published is not None for r in load_recipe(written(tmp_path, text)).runs] == [True]


def test_published_figures_find_their_runs(tmp_path: Path) -> None:
    runs = load_recipe(written(tmp_path, GOOD)).runs
    assert {r.method for r in runs if r.published} == {"svm-poly"}
    assert next(r.published for r in runs if r.published) == {
        "test_accuracy": 0.347,
        "source": "a report",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[[run]]\nnetwrk = "lenet5"', r"run\[0\]\.netwrk; did you mean 'network'"),
        ('titel = "x"\n[[run]]\nnetwork = "lenet5"', "titel; did you mean 'title'"),
        ('[[run]]\nnetwork="lenet5"\nblocks=1\ntrain={epoch=3}', "train.epoch; .* 'epochs'"),
        ('[[run]]\nnetwork="lenet5"\nhead="mlp"\nset.mlp={hiden=[1]}', "set.mlp.hiden; .*'hidden'"),
        ('[[run]]\nnetwork="lenet5"\nhead="mlp"\nset.mpl={lr=1}', "set.mpl is for a head that"),
        ('[[run]]\nnetwork="lenet5"\nblocks=1\ntrain={amp=2}', "amp=2: expected true or false"),
        ('[[run]]\nnetwork="lenet5"\nblocks=1\nwarm_start="mlp"', "with its hidden="),
        (
            '[[run]]\nnetwork="lenet5"\nblocks=1\nwarm_start="ridge"\ntrain={hidden=[8]}',
            "goes without hidden",
        ),
        ('[[run]]\nnetwork="lenet5"\nblocks=1\nset.logreg={C=1}', "set.logreg is for a head that"),
        ('[[run]]\nnetwork="lenet5"\nhead="logrge"', "did you mean 'logreg'"),
        ('[[run]]\nnetwork="lenet5"', "needs either head"),
        ('[[run]]\nnetwork="lenet5"\nhead="mlp"\ntrain={lr=1}', "go with blocks"),
        ('[[run]]\nnetwork="lenet5"\nhead="mlp"\n[preset.q]\nlimt=3', "preset.q.limt; .*'limit'"),
        (
            '[[run]]\nnetwork="lenet5"\nhead="mlp"\nseeds="all"',
            r"run\[0\].seeds='all': expected a l",
        ),
        ("seeds = [0]", "run: is missing"),
        ('[[run]]\nhead="mlp"', r"run\[0\]\.network: is missing"),
        ("run = []", r"run=\[\]: expected at least one"),
        ('[run]\nnetwork="lenet5"\nhead="mlp"', r"expected a list of tables: write \[\[run\]\]"),
        ("limit='x'\n" + BARE, "limit='x': expected a whole number or a list of whole numbers$"),
        ("limit=true\n" + BARE, "limit=True: expected a whole number"),
        ("limit=2.0\n" + BARE, "limit=2.0: expected a whole number"),
        ("limit=0\n" + BARE, "limit=0: expected 1 or more$"),
        ("seeds=[0, -1]\n" + BARE, r"seeds\[1\]=-1: expected 0 or more$"),
        (f"seeds=[{2**32}]\n" + BARE, f"expected less than {2**32}$"),
        ("seeds=['1']\n" + BARE, r"seeds\[0\]='1': expected a whole number$"),
        ("shots=[1, 'a']\n" + BARE, r"shots\[1\]='a': expected a whole number$"),
        ('[[run]]\nnetwork=["cnn", 5]\nhead="mlp"', r"run\[0\].network\[1\]=5: expected a text$"),
        ('[[run]]\nnetwork=5\nhead="mlp"', r"network=5: expected a text or a list of texts$"),
        ('[[run]]\nnetwork="lenet5"\nblocks=true', r"expected a whole number, a text or a list$"),
        ('[[run]]\nnetwork="lenet5"\nblocks=-1', r"run\[0\].blocks=-1: expected 0 or more$"),
        (BARE + "set=3", r"run\[0\].set=3: expected a table$"),
        (BARE + "[[published]]\nmatch={}\nsource='s'\ntest_accuracy=34.7", "34.7: expected 1.0 or"),
        ("precision='fp8'\n" + BARE, r"study.toml: run\[0\]: precision 'fp8'"),
        (BARE + BARE + "layers='c9'", r"study.toml: run\[1\]: layers: lenet5 has no layer 'c9'"),
        (BARE + '[[run]]\nnetwork="lenet5"\nblocks=1\ntrain={lr="x"}', r"run\[1\]: lr='x': exp"),
        (BARE + "tune=2\nsearch.mlp={LR=[1.0]}", r"key search.mlp.LR; did you mean 'lr'"),
        (BARE + "[[published]]\nmatch={head='knn'}\ntest_accuracy=0.5\nsource='s'", "no run is so"),
        ("[[run]", "is not TOML"),
        (BARE + "[preset.q]\ntrain.epoch=3", "unknown key preset.q.train.epoch; .*'epochs'"),
        (BARE + "[preset.q]\nset.mlp.hiden=[1]", "unknown key preset.q.set.mlp.hiden; .*'hidden'"),
        (BARE + "[preset.q]\nset.mpl.hidden=[1]", "unknown key preset.q.set.mpl; .*'mlp'"),
        (
            BARE + "[[published]]\nmatch={netwrk='x'}\ntest_accuracy=0.5\nsource='s'",
            r"unknown key published\[0\].match.netwrk; .*'network'",
        ),
        (
            BARE + "[[published]]\nmatch={}\ntest_acuracy=0.5\nsource='s'",
            r"unknown key published\[0\].test_acuracy; .*'test_accuracy'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=expected) as told:
        load_recipe(written(tmp_path, text))
    assert "study.toml" in str(told.value) or "head" in str(told.value)


def test_a_list_of_widths_is_one_setting_and_a_warm_start_has_its_own(tmp_path: Path) -> None:
    text = (
        '[[run]]\nnetwork="lenet5"\nblocks=1\ntrain={hidden=[16, 8], lr=[0.1, 0.2]}\n'
        '[[run]]\nnetwork="lenet5"\nblocks=1\nwarm_start="logreg"\nset.logreg={C=[1.0, 2.0]}\n'
    )
    runs = load_recipe(written(tmp_path, text)).runs
    assert [r.settings for r in runs[:2]] == [{"hidden": [16, 8], "lr": lr} for lr in (0.1, 0.2)]
    assert [r.warm_start_settings for r in runs[2:]] == [{"C": 1.0}, {"C": 2.0}]
