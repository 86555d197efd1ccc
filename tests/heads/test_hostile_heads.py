"""Saved heads made by somebody who means harm: each is refused, and nothing in it is run."""

import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load
from sklearn.datasets import load_iris
from sklearn.linear_model import RidgeClassifier

import tests.heads.attacks_with_code
import tests.heads.attacks_with_values  # noqa: F401
from featbench.errors import UsageError
from featbench.heads import HEADS, Head, create_head, load_head, register_head, save_head
from featbench.machine import peak_memory_mb
from tests.heads.forged import ATTACKS, Payload, describe, put_arrays

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


def _forged(array: NDArray[Any]) -> Iterator[NDArray[Any] | None]:
    """Yield what somebody might put in an array's place."""
    yield None
    yield array[..., None]
    yield array.astype(np.uint8)
    yield array.astype(np.float16)
    yield np.zeros((0, *array.shape[1:]), array.dtype)
    yield np.zeros(0, array.dtype)
    for value in (-1, 0, 2**31, -(2**31), 2**62):
        yield np.full_like(array, value) if array.dtype == np.int64 else np.full_like(array, -1)
    if array.dtype.kind == "f":
        yield np.full_like(array, np.nan)
        yield np.full_like(array, np.inf)
    for axis in range(array.ndim):
        yield np.take(array, range(array.shape[axis] - 1), axis)
        yield np.concatenate([array, array], axis)


_SETTINGS: tuple[Any, ...] = ("x", -1, 0, 10**18, 1e300, True, None, [], [1], [10**15], ["x"])


def _answers_or_refuses(folder: Path) -> None:
    try:
        head = load_head(folder)
    except UsageError:
        return
    with np.errstate(all="ignore"):
        assert set(head.predict(X)) <= set(head.classes_)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*HEADS, "theirs"])
def test_no_forged_array_or_setting_of_any_head_does_harm(name: str, tmp_path: Path) -> None:
    head = create_head(name)
    if "calibrate" in head.get_params():
        head.set_params(calibrate="platt")
    if "epochs" in head.get_params():
        head.set_params(epochs=2)
    save_head(head.fit(X, Y), tmp_path / "genuine")
    folder = tmp_path / "model"
    before = peak_memory_mb()

    def forge(work: Callable[[], Any]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "genuine", folder)
        work()
        _answers_or_refuses(folder)

    arrays = load((tmp_path / "genuine" / "head.safetensors").read_bytes())
    for full, array in arrays.items():
        key = full.replace(".", "_", 1)
        for forged in _forged(array):
            forge(lambda key=key, forged=forged: put_arrays(folder, **{key: forged}))  # type: ignore[misc]
    for setting in head.get_params():
        for value in _SETTINGS:
            forge(lambda s=setting, v=value: describe(folder, **{f"settings__{s}": v}))  # type: ignore[misc]
    assert peak_memory_mb() - before < 300
