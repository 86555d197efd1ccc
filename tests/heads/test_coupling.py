"""One-vs-one decision values as scores of classes."""

import numpy as np
import torch

from featbench.heads._coupling import coupled_scores


def decisions(per_class: np.ndarray) -> torch.Tensor:
    """Return the pairs' values (K, K, rows) of classes whose values are differences (rows, K)."""
    first = per_class.T[:, None] - per_class.T[None, :]
    index = np.arange(len(first))
    sign = np.where(index[:, None] < index[None, :], 1.0, -1.0)
    return torch.from_numpy(first * sign[:, :, None])


def test_pairs_that_agree_give_exactly_their_softmax() -> None:
    logits = np.random.default_rng(0).normal(size=(20, 6))
    scores = coupled_scores(decisions(logits), sharpness=2.5)
    expected = np.exp(2.5 * logits)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(scores), expected, atol=1e-12)


def test_the_highest_score_is_the_class_that_wins_all_its_pairs() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 5, 300))
    values = values + values.swapaxes(0, 1)
    own = values * np.where(np.tri(5, k=-1, dtype=bool), -1.0, 1.0)[:, :, None]
    own[np.arange(5), np.arange(5)] = 1.0
    wins_all = (own > 0).all(axis=1)
    clear = wins_all.any(axis=0)
    assert clear.sum() > 50
    sharp = coupled_scores(torch.from_numpy(values), sharpness=100.0)
    assert np.array_equal(sharp[clear].argmax(axis=1), wins_all[:, clear].argmax(axis=0))


def test_far_values_do_not_overflow() -> None:
    values = torch.full((3, 3, 2), 1e6, dtype=torch.float64)
    assert np.isfinite(coupled_scores(values)).all()
