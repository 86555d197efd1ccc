"""Options behind a data set's source: some of its classes, another share of test images."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from featbench.datasets import Source, load_dataset
from featbench.errors import UsageError
from featbench.experiments import Run
from tests.conftest import Said
from tests.experiments.test_session import session


def test_only_the_classes_that_are_named_in_the_sources_own_order(photos: Path) -> None:
    whole, few = load_dataset(photos), load_dataset(f"{photos}:classes=sky,moss")
    assert few.classes == ("moss", "sky")
    assert few.name == "photos:classes=sky,moss"
    assert few.source == f"{photos}:classes=sky,moss"
    for name, split in few.splits.items():
        assert [few.classes[label] for label in split.labels] == [
            i.split("/")[1] for i in split.ids
        ]
        kept = set(whole.splits[name].ids) - {i for i in whole.splits[name].ids if "rust" in i}
        assert set(split.ids) == kept
    by_number = load_dataset(f"{photos}:classes=0,2")
    assert by_number.fingerprint == few.fingerprint != whole.fingerprint
    assert len(load_dataset(f"{photos}:classes=sky,moss", limit=3).train) == 6


def test_a_share_of_all_its_images_is_test_whatever_splits_it_had(photos: Path) -> None:
    parts = load_dataset(f"{photos}:test=0.5").splits
    assert {i for split in parts.values() for i in split.ids} == {
        i for split in load_dataset(photos).splits.values() for i in split.ids
    }
    digits = load_dataset("digits:test=0.3")
    assert 0.27 < len(digits.test) / 1797 < 0.35
    assert set(load_dataset("digits").test.ids) < set(digits.test.ids), "a fifth is part of them"
    assert "test=0.3: about 30% (" in digits.notices[0]
    counts = np.bincount(digits.test.labels)
    assert counts.min() > 30


def test_a_text_is_an_options_only_where_it_is_no_path(tmp_path: Path) -> None:
    assert Source.read("a.zip") == Source("a.zip")
    assert Source.read("C:/photos=2/a.zip") == Source("C:/photos=2/a.zip")
    assert Source.read("a:classes=x,y:test=0.25") == Source("a", ("x", "y"), 0.25)
    assert Source.read("a:test=0.250:classes=x").options == ":classes=x:test=0.25"
    odd = tmp_path / "odd:test=1"
    odd.mkdir()
    assert Source.read(str(odd)) == Source(str(odd))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (":clases=moss,sky", "no option 'clases'; did you mean 'classes'"),
        (":classes=moss,sky:classes=sky", "classes is given twice"),
        (":test=1", "expected a share between 0 and 1"),
        (":test=much", "expected a share between 0 and 1"),
        (":classes=moss,skye", "has no class 'skye'; did you mean 'sky'"),
        (":classes=moss", "only one class"),
        (":classes=moss,0", "given twice"),
    ],
)
def test_what_cannot_be_is_told(options: str, expected: str, photos: Path) -> None:
    with pytest.raises(UsageError, match=expected):
        load_dataset(f"{photos}{options}")


def test_a_result_says_its_images_in_full_so_that_they_are_found_again(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = session(tmp_path)
    result = here.run(Run("photos:classes=moss,sky", "lenet5", head="centroid"))
    assert result.dataset == "photos:classes=moss,sky"
    assert result.source == f"{photos}:classes=moss,sky"
    assert result.n_classes == 2
    (failed,) = here.run_all([Run("photos:classes=moss,sky", "lenet5", head="centroid", layer="x")])
    assert failed.dataset == result.dataset


def test_pictures_of_such_a_run_are_found_where_they_were(
    featbench: "object", photos: Path, tmp_path: Path
) -> None:
    assert callable(featbench)
    source = "photos:classes=moss,sky"
    featbench("fit", "--backbone", "lenet5", "--data", source, "--head", "centroid")
    (run,) = (tmp_path / "results").glob("*/")
    said: Said = featbench("plot", "predictions", run.name)
    assert said.code == 0, said.err
    shutil.rmtree(photos / "train" / "rust")
    assert featbench("plot", "grid", "--data", source, "--examples", "2").code == 0
