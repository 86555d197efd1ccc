"""What one-vs-one decision values say of each class."""

import numpy as np
import torch
from numpy.typing import NDArray

_SHARPNESS = 8.0
"""Decision values times this are taken for log-odds: see docs/decisions/0002."""


def coupled_scores(values: torch.Tensor, sharpness: float = _SHARPNESS) -> NDArray[np.float64]:
    """Return a score a class, (rows, n_classes), from decision values of all pairs.

    If sigmoid(a · d_ij) is the chance of class i among i and j, the classes' chances are
    proportional to 1 / (1 + sum over j of exp(-a · d_ij)) (Price, Knerr, Personnaz and Dreyfus
    1994), exactly so if the pairs agree. The scores are the logarithms. Softly, a class is worth
    its closest defeat, so the highest score is nearly always the winner of the votes.

    Parameters
    ----------
    values : tensor, shape (n_classes, n_classes, rows)
        Symmetric; [i, j], i < j, is positive for class i.
    sharpness : float
        a.
    """
    against = _for_first(values).mul_(-sharpness)  # exp(0) on the diagonal is the 1
    scores: NDArray[np.float64] = -torch.logsumexp(against, dim=1).T.cpu().numpy()
    return scores


def _for_first(values: torch.Tensor) -> torch.Tensor:
    """Return d_ij, positive for class i, whichever of i and j is the smaller; 0 for i = j."""
    index = torch.arange(len(values), device=values.device)
    sign = (index[None, :] - index[:, None]).sign().to(values.dtype)
    signed: torch.Tensor = values * sign[:, :, None]
    return signed
