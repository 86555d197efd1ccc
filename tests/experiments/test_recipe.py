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


SETS = """
data = "photos.zip"

[[run]]
name = "first"
network = ["vgg16:size=64", "resnet50", "cnn"]
weights = ["IMAGENET1K_V1", "random"]
blocks = 1

[[run]]
name = "other"
data = ["cifar10.zip:classes=cat,dog", "digits:test=0.3"]
network = "resnet50"
head = "logreg"
set.logreg = { C = 0.1 }

[preset.quick]
train.epochs = 3

[preset.quick.named]
first.train = { epochs = 2, lr = 0.1 }
other.set.logreg = { C = 7.0 }

[preset.alone]
limit = 9

[[preset.alone.run]]
network = "fcnet"
blocks = "all"
"""


def test_data_given_plainly_stand_in_for_the_recipes_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, SETS)
    own = ["cifar10.zip:classes=cat,dog", "digits:test=0.3"]
    assert [r.data for r in load_recipe(path, data="mine").runs if r.head] == own
    assert {r.data for r in load_recipe(path, data="mine").runs if not r.head} == {"mine"}
    (tmp_path / "a=b.zip").touch()
    monkeypatch.chdir(tmp_path)
    data = ["a=b.zip", "cifar10.zip=d/c.zip", "digits=mnist:test=0.5"]
    runs = load_recipe(path, data=data).runs
    assert {r.data for r in runs if not r.head} == {"a=b.zip"}
    assert [r.data for r in runs if r.head] == ["d/c.zip:classes=cat,dog", "mnist:test=0.5"]
    with pytest.raises(UsageError, match="given twice, a and b; give one"):
        load_recipe(path, data=["a", "b"])
    with pytest.raises(UsageError, match="b stands in for digits already"):
        load_recipe(path, data=["digits=b", "digits=c"])
    with pytest.raises(UsageError, match=r"has no cifar1.zip; did you mean 'cifar10.zip'\?"):
        load_recipe(path, data=["cifar1.zip=b:classes=cat"])
    with pytest.raises(UsageError, match=r"has no vgg61; did you mean 'vgg16'\?"):
        load_recipe(path, backbone="vgg61=resnet18:size=32")
    only = written(tmp_path, BARE + 'data = "faces"\n')
    with pytest.raises(UsageError, match=r"every run names its own data; .* --data faces=mine"):
        load_recipe(only, data="mine")


def test_a_backbone_stands_in_for_one_network_or_all_with_its_own_weights(tmp_path: Path) -> None:
    def made(backbone: str | list[str]) -> set[tuple[str, str]]:
        runs = load_recipe(written(tmp_path, SETS), backbone=backbone).runs
        return {(r.network, r.weights) for r in runs if r.name == "first"}

    small = {("cnn", "IMAGENET1K_V1"), ("cnn", "random")}
    assert made("resnet18") == {
        ("resnet18:size=64", "default"), ("resnet18:size=64", "random"),
        ("resnet18", "default"), ("resnet18", "random"), *small,
    }  # fmt: skip
    assert made(["vgg16=vgg11:size=32"]) == {
        ("vgg11:size=32", "default"), ("vgg11:size=32", "random"),
        ("resnet50", "IMAGENET1K_V1"), ("resnet50", "random"), *small,
    }  # fmt: skip


def test_a_preset_changes_the_run_of_a_name_or_has_runs_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, SETS)
    quick = load_recipe(path, preset="quick").runs
    assert {(r.settings["epochs"], r.settings["lr"]) for r in quick if not r.head} == {(2, 0.1)}
    assert {r.settings["C"] for r in quick if r.head} == {7.0}
    alone = load_recipe(path, preset="alone").runs
    assert [(r.network, r.limit, r.recipe) for r in alone] == [("fcnet", 9, "study:alone")]


def test_runs_of_several_seeds_begin_with_one_network(tmp_path: Path) -> None:
    text = '[[run]]\nnetwork="lenet5"\nblocks="all"\ninit_seed=0\nseeds=[0,1]\nname="twice"\n'
    runs = load_recipe(written(tmp_path, text)).runs
    assert [(r.seed, r.init_seed, r.network_seed, r.name) for r in runs] == [
        (0, 0, 0, "twice"), (1, 0, 0, "twice"),
    ]  # fmt: skip


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
        (SETS.replace("first.train", "frist.train"), "preset.quick.named.frist; .*'first'"),
        (SETS.replace("lr = 0.1 }", "lrr = 0.1 }"), "preset.quick.named.first.train.lrr; .*'lr'"),
        (SETS.replace("other.set", "other.sett"), "preset.quick.named.other.sett; .*'set'"),
        (SETS + "blokcs = 1", r"preset.alone.run\[0\].blokcs; .*'blocks'"),
        (BARE + "init_seed = 1", "init_seed goes with blocks"),
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
