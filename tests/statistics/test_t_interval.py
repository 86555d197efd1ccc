"""Student's interval is scipy's, and needs two draws."""

import numpy as np
import pytest
from scipy import stats

from featbench.errors import UsageError
from featbench.statistics import t_interval


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_it_is_scipys(confidence: float) -> None:
    values = np.random.default_rng(0).normal(0.7, 0.05, 10)
    expected = stats.t.interval(confidence, 9, values.mean(), stats.sem(values))
    assert t_interval(values, confidence=confidence) == pytest.approx(expected, abs=1e-12)


def test_what_cannot_be_is_refused() -> None:
    for values, confidence in (([0.5], 0.95), ([[1, 2], [3, 4]], 0.95), ([1, 2], 1.0)):
        with pytest.raises(UsageError):
            t_interval(values, confidence=confidence)
