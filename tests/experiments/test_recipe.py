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
    several = SETS.replace("other.set", "other.seeds = [3, 4]\nother.set").replace(
        "[preset.quick]", "[preset.quick]\nseeds = [7]"
    )
    quick = load_recipe(written(tmp_path, several), preset="quick").runs
    assert {(bool(r.head), r.seed) for r in quick} == {(True, 3), (True, 4), (False, 7)}
    own = several.replace('head = "logreg"', 'head = "logreg"\nrepeats = 9')
    quick = load_recipe(written(tmp_path, own), preset="quick").runs
    assert {r.seed for r in quick if r.head} == {3, 4}
    alone = load_recipe(written(tmp_path, SETS), preset="alone").runs
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
