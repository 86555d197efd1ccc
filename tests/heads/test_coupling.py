"""One-vs-one decision values as scores of classes."""

import numpy as np
import torch

from featbench.heads._coupling import coupled_scores, vote_shares


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
    values = torch.from_numpy(rng.normal(size=(5, 5, 300)))
    values = values + values.transpose(0, 1)
    shares = vote_shares(values)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    clear = shares.max(axis=1) > 0.399  # four of ten votes
    assert clear.sum() > 50
    sharp = coupled_scores(values, sharpness=100.0)
    assert np.array_equal(sharp[clear].argmax(axis=1), shares[clear].argmax(axis=1))


def test_zero_is_a_vote_for_the_second_class() -> None:
    np.testing.assert_allclose(vote_shares(torch.zeros(3, 3, 1)), [[0, 1 / 3, 2 / 3]])


def test_far_values_do_not_overflow() -> None:
    values = torch.full((3, 3, 2), 1e6, dtype=torch.float64)
    assert np.isfinite(coupled_scores(values)).all()
