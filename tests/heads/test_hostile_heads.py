"""Saved heads made by somebody who means harm: each is refused, and nothing in it is run."""

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import RidgeClassifier

import tests.heads.attacks_with_code
import tests.heads.attacks_with_values  # noqa: F401
from featbench.errors import UsageError
from featbench.heads import HEADS, Head, create_head, load_head, register_head, save_head
from featbench.machine import peak_memory_mb
from tests.heads.forged import ATTACKS, Payload

X, Y = load_iris(return_X_y=True)


class _LeastSquares(Head):
    """A head of another package, whose core is scikit-learn's own."""

    def __init__(self, preprocess: str = "standardise") -> None:
        self.preprocess = preprocess

    def _core(self) -> RidgeClassifier:
        return RidgeClassifier()


@pytest.fixture(scope="module", autouse=True)
def their_head() -> Iterator[None]:
    register_head("theirs")(_LeastSquares)
    yield
    HEADS._entries.pop("theirs")


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory, their_head: None) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("genuine")
    for name, settings in (("svm-poly", {}), ("mlp", {"hidden": [3]}), ("theirs", {})):
        save_head(create_head(name, **settings).fit(X, Y), folder / name)
    save_head(create_head("svm-rbf", preprocess="whiten").fit(X, Y), folder / "svm-rbf")
    calibrated = create_head("svm-linear", calibrate="temperature")
    save_head(calibrated.fit(X, Y), folder / "svm-linear")
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("case", ATTACKS)
def test_is_refused_with_a_reason_and_nothing_is_run(
    case: str, genuine: dict[str, Path], tmp_path: Path
) -> None:
    name, work, reason = ATTACKS[case]
    canary = tmp_path / "canary"
    folder = tmp_path / "model"
    shutil.copytree(genuine[name], folder)
    load_head(folder)  # it is the forgery alone that is refused
    work(folder, canary)
    before = peak_memory_mb()
    with pytest.raises(UsageError, match=reason) as refused:
        load_head(folder)
    assert str(folder) in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 1000
    assert not canary.exists()
    assert peak_memory_mb() - before < 300


def test_the_canary_dies_where_a_pickle_is_read(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Payload(canary)))
    assert canary.exists()


def test_there_are_many() -> None:
    assert len(ATTACKS) >= 140
