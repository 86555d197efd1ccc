"""A head that is saved, and loaded in a fresh process, gives the same labels and probabilities."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

import featbench
from featbench.errors import FeatbenchError, UsageError
from featbench.heads import HEADS, Head, create_head, load_head, register_head, save_head
from featbench.heads._skops_core import TRUSTED
from featbench.machine import limit_memory

THEIRS = [name for name in TRUSTED if not name.endswith("LabelBinarizer")]
MODULE = f"""
import importlib
from featbench.heads import Head, register_head

def add(path):
    module, _, name = path.rpartition(".")
    kind = getattr(importlib.import_module(module), name)

    class Theirs(Head):
        def __init__(self, preprocess="standardise"):
            self.preprocess = preprocess

        def _core(self):
            return kind()

    register_head("theirs-" + name)(Theirs)

for path in {THEIRS!r}:
    add(path)
"""
ASK = """
import json, sys, numpy, their_heads
from pathlib import Path
from featbench.heads import load_head
rows = numpy.load("rows.npy")
said = {}
for folder in sorted(path for path in Path(".").iterdir() if path.is_dir()):
    head = load_head(folder)
    said[folder.name] = {method: getattr(head, method)(rows).tolist()
                         for method in ("predict", "predict_proba", "decision_function")
                         if hasattr(head, method)}
print(json.dumps(said))
"""


@pytest.fixture
def their_heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Heads of another package, one for every scikit-learn classifier that is trusted."""
    before = set(HEADS)
    (tmp_path / "their_heads.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("their_heads")
    yield [name for name in HEADS if name not in before]
    for name in set(HEADS) - before:
        HEADS._entries.pop(name)
    del sys.modules["their_heads"]


def said(head: Head, rows: NDArray[Any]) -> dict[str, Any]:
    methods = ("predict", "predict_proba", "decision_function")
    return {m: getattr(head, m)(rows) for m in methods if hasattr(head, m)}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_head_says_the_same_in_a_fresh_process(
    their_heads: list[str], tmp_path: Path
) -> None:
    X, y = load_iris(return_X_y=True)
    words = np.array(["b e", "ü", "a/b"])[y]
    labels = {"int": y, "text": words, "object": words.astype(object), "two": y == 1}
    rows = X[::7].astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    expected = {}
    ways = [(kind, "standardise") for kind in labels]
    ways += [("text", preprocess) for preprocess in ("none", "l2", "whiten")]
    for name in HEADS:
        for kind, preprocess in ways[:4] if name in their_heads else ways:
            head = create_head(name, preprocess=preprocess).fit(X, labels[kind])
            folder = f"{name}-{kind}-{preprocess}"
            save_head(head, tmp_path / folder)
            expected[folder] = said(head, rows)
    for name in ("svm-poly", "logreg"):
        for calibrate in ("temperature", "platt"):
            for kind in ("text", "two"):
                head = create_head(name, calibrate=calibrate).fit(X, labels[kind])
                folder = f"{name}-{kind}-{calibrate}"
                save_head(head, tmp_path / folder)
                expected[folder] = said(head, rows)
                assert "predict_proba" in expected[folder]
    with limit_memory(100):
        head = create_head("svm-rbf", approximate=True).fit(X, words)
    assert head.core_.approximation
    save_head(head, tmp_path / "approximate")
    expected["approximate"] = said(head, rows)
    here = {**os.environ, "PYTHONPATH": str(Path(featbench.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False,
                          cwd=tmp_path, env=here)  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers.keys() == expected.keys()
    for folder, methods in expected.items():
        assert answers[folder].keys() == methods.keys()
        assert answers[folder]["predict"] == methods["predict"].tolist(), folder
        for method in methods.keys() - {"predict"}:
            np.testing.assert_allclose(
                answers[folder][method], methods[method], rtol=1e-9, atol=1e-9, err_msg=folder
            )


def test_what_was_asked_for_comes_back(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    for settings in ({"class_weight": {0: 2.0, 1: 1.0, 2: 0.5}}, {"max_iter": 10_000, "C": 2.0}):
        head = create_head("logreg", **settings)
        save_head(head.fit(X, y).set_params(C=float("inf")), tmp_path)
        loaded = load_head(tmp_path)
        assert loaded.get_params() == head.get_params()
        assert type(loaded) is type(head)
        assert loaded.classes_.dtype == head.classes_.dtype
        assert loaded.n_features_in_ == 4
    save_head(create_head("mlp", hidden=[3, 2], epochs=2).fit(X, y), tmp_path)  # replaces it
    loaded = load_head(tmp_path)
    assert loaded.get_params()["hidden"] == (3, 2)
    assert loaded.parameter_count() == 4 * 3 + 3 + 3 * 2 + 2 + 2 * 3 + 3


def test_a_linear_head_is_still_one_layer(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    for name, settings in (("logreg", {}), ("mlp", {"hidden": []})):
        head = create_head(name, **settings).fit(X, y)
        save_head(head, tmp_path / name)
        for ours, theirs in zip(
            load_head(tmp_path / name).linear_layer(), head.linear_layer(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_loaded_head_can_be_fitted_again(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    for name in HEADS:
        save_head(create_head(name).fit(X, y), tmp_path / name)
        assert load_head(tmp_path / name).fit(X[:, :3], y).n_features_in_ == 3


class _Forest(Head):
    def __init__(self, preprocess: str = "none") -> None:
        self.preprocess = preprocess

    def _core(self) -> Any:
        return RandomForestClassifier(3, random_state=0)


class _Odd(ClassifierMixin):
    def fit(self, X: Any, y: Any) -> "_Odd":
        return self


def test_what_cannot_be_loaded_safely_is_not_saved(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(UsageError, match="not registered"):
        save_head(_Forest().fit(X, y), tmp_path / "a")
    try:
        register_head("forest")(_Forest)
        with pytest.raises(UsageError, match="RandomForestClassifier cannot be saved"):
            save_head(_Forest().fit(X, y), tmp_path / "b")
    finally:
        HEADS._entries.pop("forest")
    head = create_head("logreg").fit(X, np.array(["a", "b\x1b[2J", "c"])[y])
    with pytest.raises(UsageError, match="control characters"):
        save_head(head, tmp_path / "c")
    head = create_head("logreg").fit(X, y).set_params(class_weight={0: _Odd()})
    with pytest.raises(UsageError, match="setting class_weight is a _Odd"):
        save_head(head, tmp_path / "d")
    assert list(tmp_path.glob("*/head.json")) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    X, y = load_iris(return_X_y=True)
    with pytest.raises(FeatbenchError, match="file: cannot be written"):
        save_head(create_head("logreg").fit(X, y), tmp_path / "file")
