"""A recipe is expanded to a grid, and what is misspelt in it is named."""

from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import load_recipe, parse_changes

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


def test_another_backbone_replaces_the_pretrained_ones_alone(tmp_path: Path) -> None:
    runs = load_recipe(written(tmp_path, GOOD), backbone="efficientnet_lite0").runs
    assert {r.network for r in runs} == {"efficientnet_lite0", "lenet5"}


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
        ('[[run]]\nnetwork="lenet5"\nhead="mlp"\nseeds="all"', r"run\[0\].seeds: "),
        ("seeds = [0]", "run: Field required"),
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
