"""Newton steps by conjugate gradients, and a bound on what is left to gain."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST = 200


@dataclass
class Step:
    """What conjugate gradients came to.

    Attributes
    ----------
    S : Tensor, shape of the gradient
        About -H⁻¹g.
    products : int
        Products with H that it took.
    sound : bool
        Whether it got as far as was asked, with a positive curvature throughout.
    bound : float
        At least ½ g·H⁻¹g, what a whole Newton step gains.
    """

    S: Tensor
    products: int
    sound: bool
    bound: float


def dot(a: Tensor, b: Tensor) -> float:
    """Return the inner product, summed in float64."""
    return float((a * b).sum(dtype=torch.float64))


def newton_step(
    product: Callable[[Tensor], Tensor], g: Tensor, stand_in: Tensor, floor: Tensor, goal: float,
    enough: float = 0.0,
) -> Step:  # fmt: skip
    """Solve H S = -g.

    A solution S so far gains ½ |g·S|, and what its residual r can add is ½ r·H⁻¹r, at most
    ½ r·F⁻¹r for a floor F below H.

    Parameters
    ----------
    product : callable
        Returns H times what it is given.
    g : Tensor
        The gradient.
    stand_in, floor : Tensor
        Diagonals: one like H, to go fast, and one that is nowhere above H.
    goal : float
        Where the residual may end, relative, in the norm that ``stand_in`` makes.
    enough : float
        End, too, where the bound is at most this; above 0, the goal ends it only once it is
        clear that the bound cannot be.
    """
    S, residual, gained = torch.zeros_like(g), g.neg(), 0.0
    Y = residual / stand_in
    V, now = Y, dot(residual, Y)
    first = now
    for used in range(1, _MOST + 1):
        HV = product(V)
        curvature = dot(V, HV)
        if curvature <= 0:
            return Step(S if used > 1 else Y, used, False, math.inf)
        S.add_(V, alpha=now / curvature)
        residual.sub_(HV, alpha=now / curvature)
        gained += 0.5 * now * now / curvature
        Y = residual / stand_in
        before, now = now, dot(residual, Y)
        if not enough or gained > enough:
            is_done = now <= goal * goal * first
        else:
            is_done = gained + 0.5 * dot(residual, residual / floor) <= enough
        if is_done:
            break
        V = Y + V * (now / before)
    return Step(S, used, is_done, gained + 0.5 * dot(residual, residual / floor))
