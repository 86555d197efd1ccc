"""Whitening: what it divides by, what it leaves out, and that few rows do not mislead it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from featbench.errors import UsageError
from featbench.heads import create_head
from featbench.heads._saved import load_head, save_head

KINDS = {"n < d": 11, "n = d + 1": 20, "a constant column": 19, "duplicate columns": 12,
         "far from 0": 20, "plain": 20}  # fmt: skip
"""Each with how many directions there are."""


def rows_of(kind: str, dtype: type) -> tuple[NDArray[Any], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    n = {"n < d": 12, "n = d + 1": 21}.get(kind, 80)
    rows, y = rng.normal(size=(n, 20)) * np.geomspace(1, 0.05, 20), np.arange(n) % 2
    rows[:, 0] += y
    if kind == "a constant column":
        rows[:, 3] = 1234.567
    elif kind == "duplicate columns":
        rows[:, 12:] = rows[:, :8]
    elif kind == "far from 0":
        rows += 100.0
    return rows.astype(dtype), y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_only_real_directions_are_kept(kind: str, dtype: type) -> None:
    rows, y = rows_of(kind, dtype)
    head = create_head("ridge", preprocess="whiten").fit(rows, y)
    white = head.preprocess_.transform(rows)
    assert white.shape == (len(rows), KINDS[kind])
    directions = head.preprocess_.components_.astype(np.float64)
    covariance = LedoitWolf().fit(rows.astype(np.float64)).covariance_
    shrunk = np.einsum("kd,de,ke->k", directions, covariance, directions)
    spread = ((rows - rows.mean(axis=0)) @ directions.T).astype(np.float64).var(axis=0)
    np.testing.assert_allclose(
        white.astype(np.float64).var(axis=0),
        spread / shrunk * (len(rows) - 1) / len(rows),
        rtol=1e-2,
    )
    near = rows + np.random.default_rng(1).normal(size=rows.shape) * 1e-6
    np.testing.assert_allclose(head.preprocess_.transform(near), white, atol=0.05)


@pytest.mark.parametrize("head", ["centroid", "knn", "logreg"])
def test_as_many_rows_as_features_do_not_mislead(head: str) -> None:
    rng = np.random.default_rng(0)
    d = 120
    y = np.arange(2 * d) % 2
    rows = rng.normal(size=(2 * d, d)) * np.geomspace(1, 0.05, d)
    rows[:, :3] += 2.0 * y[:, None]
    learned = create_head(head, preprocess="whiten").fit(rows[:d], y[:d])
    assert learned.score(rows[d:], y[d:]) > 0.8


def test_many_rows_are_hardly_shrunk() -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 4)) * [1, 2, 3, 4]
    head = create_head("logreg", preprocess="whiten").fit(rows, rows[:, 0] > 0)
    white = head.preprocess_.transform(rows)
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=5e-3)


@pytest.mark.parametrize("size", [1e-5, 1e15])
def test_the_rows_unit_does_not_matter(size: float) -> None:
    rows, y = rows_of("plain", np.float32)
    plain = create_head("ridge", preprocess="whiten").fit(rows, y)
    scaled = create_head("ridge", preprocess="whiten").fit(rows * np.float32(size), y)
    own, other = plain.preprocess_.transform(rows), scaled.preprocess_.transform(rows * size)
    np.testing.assert_allclose(np.abs(other), np.abs(own), atol=0.02)


def test_rows_without_any_spread_still_have_a_column() -> None:
    head = create_head("logreg", preprocess="whiten").fit(np.ones((6, 3)), [0, 1] * 3)
    assert head.preprocess_.transform(np.ones((2, 3))).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("kind", ["n < d", "duplicate columns"])
def test_a_whitened_head_is_saved_and_is_no_layer_on_raw_features(
    kind: str, tmp_path: Path
) -> None:
    rows, y = rows_of(kind, np.float32)
    head = create_head("logreg", preprocess="whiten").fit(rows, y)
    save_head(head, tmp_path)
    again = load_head(tmp_path)
    np.testing.assert_allclose(again.predict_proba(rows), head.predict_proba(rows), atol=1e-6)
    assert not again.has_linear_layer()
    with pytest.raises(UsageError, match=r"whiten.* is not one linear layer"):
        again.linear_layer()
