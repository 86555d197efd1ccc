"""What fails because of the rows is told as that; what is a bug stays one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featbench.errors import FeatbenchError, UsageError
from featbench.experiments import Run, Selection, Session
from featbench.heads import HEADS, Head


def rows(scale: float = 1.0) -> NDArray[Any]:
    X = np.random.default_rng(0).normal(size=(90, 6))
    X[np.arange(90), np.arange(90) % 3] += 1.0
    return X * scale


def run(folder: Path, X: NDArray[Any], head: str, *, train: int = 60, **more: Any) -> Any:
    file = folder / "odd.npz"
    side = np.where(np.arange(len(X)) < train, "train", "test")
    np.savez(file, X=X, y=np.array(["cat", "dog", "eel"])[np.arange(len(X)) % 3], split=side)
    session = Session(cache=folder / "cache", results=folder / "results")
    return session.run(Run(features=str(file), head=head, **more))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", HEADS)
def test_rows_that_overflow(name: str, tmp_path: Path) -> None:
    reason = rf"odd\.npz: head {name} fails on these rows: preprocess='standardise' makes NaN.*"
    with pytest.raises(UsageError, match=reason + r"reach 4e\+300, .*: scale them down"):
        run(tmp_path, rows(1e300), name)


@pytest.mark.parametrize("name", ["logreg", "ridge"])
def test_rows_on_which_a_decomposition_fails(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"head {name} fails on these rows: .*scale them down"):
        run(tmp_path, rows(1e300), name, settings={"preprocess": "none"})


@pytest.mark.parametrize("name", HEADS)
def test_calibration_with_one_row_a_class(name: str, tmp_path: Path) -> None:
    reason = (
        "needs a class with two rows or more; classes with a single training row: cat, dog, eel"
    )
    with pytest.raises(UsageError, match=reason):
        run(tmp_path, rows(), name, train=3, settings={"calibrate": "temperature"})


def test_an_epoch_chosen_with_one_row_a_class(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="head mlp fails on these rows: no class has a row to spar"
    ):
        run(tmp_path, rows(), "mlp", train=3, settings={"select": "val_loss"})


@pytest.mark.parametrize("name", HEADS)
def test_constant_rows_are_no_failure(name: str, tmp_path: Path) -> None:
    assert run(tmp_path, np.ones((90, 6)), name).test_accuracy == pytest.approx(1 / 3)


@pytest.mark.filterwarnings("ignore")
def test_test_rows_alone_that_overflow(tmp_path: Path) -> None:
    X = rows(0.1)
    X[80] = 1.7e308
    with pytest.raises(UsageError, match="head logreg fails on these rows: preprocess="):
        run(tmp_path, X, "logreg")


@pytest.mark.filterwarnings("ignore")
def test_tuning_on_rows_that_overflow(tmp_path: Path) -> None:
    with pytest.raises(FeatbenchError, match=r"NaN|infinity|converge"):
        run(tmp_path, rows(1e300), "logreg", selection=Selection(2))


def raising(error: Exception) -> Any:
    """Return a ``fit`` that fails on the rows, and not where settings are tried on a few others."""

    def fit(self: Head, X: Any, *rest: Any, **more: Any) -> Head:
        if len(X) < 60:
            return self
        raise error

    return fit


@pytest.mark.parametrize(
    "error",
    [TypeError("odd"), AttributeError("odd"), IndexError("odd"), KeyError("odd"),
     RuntimeError("odd"), AssertionError("odd")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_bug_stays_a_bug(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HEADS["logreg"], "fit", raising(error))
    with pytest.raises(type(error), match="odd"):
        run(tmp_path, rows(), "logreg")


def test_the_cause_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HEADS["logreg"], "fit", raising(ZeroDivisionError("by zero")))
    with pytest.raises(UsageError, match="by zero; try other settings") as raised:
        run(tmp_path, rows(), "logreg")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
