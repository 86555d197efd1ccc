"""Features in the plane: PCA's own, every class told apart, names that have room."""

import itertools
import sys
import types

import numpy as np
import pytest
from sklearn.decomposition import PCA

from featbench.errors import UsageError
from featbench.report import draw_embedding, plane_method, project

RNG = np.random.default_rng(0)


def test_pca_is_scikit_learns_and_says_its_shares() -> None:
    X = RNG.normal(size=(50, 8)).astype(np.float32)
    plane, theirs = project(X), PCA(2).fit(X)
    assert np.abs(plane.points) == pytest.approx(np.abs(theirs.transform(X)), abs=1e-4)
    assert f"{100 * theirs.explained_variance_ratio_[0]:.1f}% of" in plane.axes[0]
    with pytest.raises(UsageError, match="too few"):
        project(X[:2])
    with pytest.raises(UsageError, match="expected pca, umap"):
        project(X, "tsne")


def test_umap_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    X = RNG.normal(size=(9, 4)).astype(np.float32)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert plane_method(None) == "pca"
    with pytest.raises(UsageError, match="pip install umap-learn"):
        plane_method("umap")

    class UMAP:
        def __init__(self, random_state: int) -> None:
            self.seed = random_state

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2] + self.seed

    module = types.ModuleType("umap")
    module.UMAP = UMAP  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: module)
    assert plane_method(None) == "umap"
    assert project(X, "umap", seed=3).axes == ("UMAP 1", "UMAP 2")


@pytest.mark.parametrize("n", [3, 20, 196])
def test_every_class_has_a_look_of_its_own_or_a_name_where_there_is_room(n: int) -> None:
    y = np.arange(5 * n) % n
    X = RNG.normal(size=(n, 6))[y] + 0.1 * RNG.normal(size=(5 * n, 6))
    figure = draw_embedding(project(X.astype(np.float32)), y, [f"ג class {i}" for i in range(n)])
    figure.draw_without_rendering()
    (axes,) = figure.axes
    if n <= 20:
        handles = figure.legends[0].legend_handles
        assert len({(h.get_color(), h.get_marker()) for h in handles}) == n  # type: ignore[union-attr]
        return
    assert not figure.legends
    boxes = [t.get_window_extent() for t in axes.texts]
    assert len(boxes) > 30
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert f"{len(boxes)} of 196 classes have room" in axes.get_xlabel()
