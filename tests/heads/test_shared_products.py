"""Kernel machines that share the products of rows are the same machines."""

import numpy as np
import pytest
import torch

from featbench.heads import KernelSVC, SharedProducts, create_head
from featbench.heads import _shared_products as module

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 4, 90)
X = (RNG.normal(size=(4, 12))[Y] + RNG.normal(size=(90, 12))).astype(np.float32)
HEADS = ("svm-linear", "svm-poly", "svm-rbf", "svm-sigmoid")


def test_shared_products_change_nothing_and_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [create_head(name).fit(X, Y).core_ for name in HEADS]
    made = []
    monkeypatch.setattr(
        module, "own_products", lambda *a, make=module.own_products: (made.append(1), make(*a))[1]
    )
    shared = SharedProducts()
    with shared.in_use():
        together = [create_head(name).fit(X, Y).core_ for name in HEADS]
    assert len(made) == 1
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.dual_coef_, other.dual_coef_)
        assert np.array_equal(one.support_, other.support_)
        assert np.array_equal(one.intercept_, other.intercept_)


def test_single_precision_gram_matrices_are_the_same_too() -> None:
    rng = np.random.default_rng(1)
    many = rng.normal(size=(700, 20_000)).astype(np.float32)  # over _EXACT: float32 products
    labels = rng.integers(0, 2, 700)
    alone = KernelSVC(kernel="poly", degree=2).fit(many, labels)
    with SharedProducts().in_use():
        shared = KernelSVC(kernel="poly", degree=2).fit(many, labels)
    assert alone.is_single_
    assert np.array_equal(alone.dual_coef_, shared.dual_coef_)


def test_other_rows_are_not_taken_for_these(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedProducts()
    with shared.in_use():
        KernelSVC(kernel="rbf").fit(X, Y)
        got = KernelSVC(kernel="rbf").fit(X + X[::-1], Y)
    assert np.array_equal(got.dual_coef_, KernelSVC(kernel="rbf").fit(X + X[::-1], Y).dual_coef_)
    cpu = torch.device("cpu")
    rows = X.astype(np.float64)
    first = shared.of(rows, torch.float64, cpu)
    assert first is shared.of(rows.copy(), torch.float64, cpu)
    changed = rows.copy()
    changed[-1, -1] += 1e-9
    assert first is not shared.of(changed, torch.float64, cpu)
    shared.clear()
    monkeypatch.setattr(module, "memory_limit", lambda: 4 * 90 * 90 * 8 - 1)
    assert shared.of(rows, torch.float64, cpu) is None
