"""Newton's method for softmax regression: exact gradients, conjugate gradients, cheap products.

A step solves H s = -g by conjugate gradients, since H times a vector needs two matrix products and
never H itself (Lin, Weng and Keerthi 2008). What makes it quick here: the rows lie in the
eigenbasis of their covariance, where 1 + C λ_j mean(p_k (1 - p_k)) is a good stand-in for H; H need
not be exact, so its products may round their inputs to bfloat16 where the machine has a unit for
that; and along a path of C the last two solutions, combined, start the next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featbench.heads._conjugate import Step, dot, newton_step
from featbench.heads._device import products_in
from featbench.heads._eigenbasis import Rows

_CHUNK = 2**17
"""So many numbers are worked on at once between products: they stay in a core's own cache."""
_HALVINGS = 20
_MOST_BLENDS = 12
_GENTLE = 3.0
_FIRM = 0.1
_PROVED = 100.0
"""So many times the gap that is aimed at may be what is proved of it: no bound is tight."""
_NEAR = 0.3
"""A step that changes no score by more than this stays where the Hessian is about the same."""


@dataclass
class Point:
    """Coefficients and what is known there.

    Attributes
    ----------
    W : Tensor, shape (r + 1, K)
        Coefficients in the basis; the last row is the intercept.
    Z : Tensor, shape (n, K)
        Scores, X @ W.
    """

    W: Tensor
    Z: Tensor


@dataclass
class State:
    """Loss and its derivatives by the scores, all weighted.

    Attributes
    ----------
    loss : float
        Sum of weight times cross-entropy.
    P : Tensor, shape (n, K)
        Probabilities.
    R : Tensor, shape (n, K)
        Weight times (probability - truth). Where a row is sure of its class, 1 - p is rounded off
        in float32; the other classes' sum keeps every digit.
    """

    loss: float
    P: Tensor
    R: Tensor


@dataclass
class Solution:
    """What a solve ended with."""

    point: Point
    objective: float
    steps: int
    products: int
    gap: float
    converged: bool


class SoftmaxProblem:
    """Minimise C Σ_i w_i cross-entropy_i + ½|W|² for rows, classes, and one C after another.

    Parameters
    ----------
    rows : Rows
        From ``rotate``.
    y : Tensor of int64, shape (n,)
        Classes, 0 … K - 1.
    weights : Tensor of float64, shape (n,)
        From 0 up.
    n_classes : int
        K.
    """

    def __init__(self, rows: Rows, y: Tensor, weights: Tensor, n_classes: int) -> None:
        self.rows, self.y, self.K = rows, y[:, None], n_classes
        X = rows.X
        self.n = len(X)
        self.weights = weights.to(X.dtype)[:, None]
        self.total = float(weights.sum())
        self.weighted = bool((weights != 1).any())
        self.H = X.float() if X.dtype == torch.float64 and X.numel() * n_classes > 2**27 else X
        self.penalised = X.new_ones(X.shape[1], 1)
        self.penalised[-1] = 0
        self.step = max(1, _CHUNK // n_classes)

    def start(self) -> Point:
        """Return the best coefficients for C = 0: none but the classes' frequencies."""
        X = self.rows.X
        share = torch.zeros(self.K, dtype=torch.float64, device=X.device)
        share.index_add_(0, self.y[:, 0], self.weights[:, 0].double())
        prior = (share / self.total).clamp(min=1e-12).log()
        W = X.new_zeros(X.shape[1], self.K)
        W[-1] = (prior - prior.mean()).to(X.dtype)
        return Point(W, W[-1].expand(self.n, self.K).clone())

    def gentle(self) -> float:
        """Return a C so small that the penalty weighs as much as the data in most directions."""
        bend = self.rows.spread[:-1] / self.K
        return _GENTLE / float(bend.max()) if float(bend.max()) > 0 else math.inf

    def state(self, Z: Tensor) -> State:
        """Return the loss at scores Z (n, K) and its derivatives."""
        P, R = torch.empty_like(Z), torch.empty_like(Z)
        loss = torch.zeros((), dtype=torch.float64, device=Z.device)
        for k in range(0, self.n, self.step):
            span = slice(k, k + self.step)
            y, w, E, r = self.y[span], self.weights[span], P[span], R[span]
            torch.sub(Z[span], Z[span].gather(1, y), out=E)
            E.scatter_(1, y, -math.inf)
            top = E.amax(1, keepdim=True).clamp_(min=0)
            E.sub_(top).exp_()
            others, own = E.sum(1, keepdim=True), top.neg().exp_()
            total = others + own
            each = torch.where(top == 0, others.log1p(), top + total.log())
            loss += (each * w).sum(dtype=torch.float64)
            E /= total
            torch.mul(E, w, out=r)
            r.scatter_(1, y, -w * others / total)
            E.scatter_(1, y, own / total)
        return State(float(loss), P, R)

    def objective(self, C: float, W: Tensor, state: State) -> float:
        """Return C times the loss plus the penalty, float64."""
        return C * state.loss + 0.5 * dot(W * self.penalised, W)

    def curved(self, C: float, P: Tensor, top: Tensor, V: Tensor, rough: bool) -> Tensor:
        """Return the Hessian times V (r + 1, K).

        Scores count from the likeliest class's: it alone has p near 1, and there p (u - Σ p u)
        would be lost in rounding.
        """
        with products_in("medium" if rough else "highest"):
            U = self.H @ V.to(self.H.dtype)
            for k in range(0, self.n, self.step):
                span = slice(k, k + self.step)
                u, p = U[span], P[span]
                u.sub_(u.gather(1, top[span]))
                u.mul_(p)
                u.addcmul_(p, u.sum(1, keepdim=True), value=-1)
                if self.weighted:
                    u.mul_(self.weights[span])
            found = self.H.T @ U
        return found.to(V.dtype).mul_(C).addcmul_(V, self.penalised)

    def solve(
        self, C: float, point: Point, tol: float, max_iter: int, first: State | None = None,
        loose: bool = False,
    ) -> Solution:  # fmt: skip
        """Minimise from a point, until the gap to the optimum is about tol² of the objective.

        The gap is ½ g·M⁻¹g, M being the stand-in for the Hessian: what a Newton step would gain,
        were M right. Where a few rows are far longer than the others it can be thousands of times
        more, so that in the end a bound on it is computed: 100 tol² of the objective or less.

        Parameters
        ----------
        C : float
            Inverse strength of the penalty.
        point : Point
            Where to start.
        tol : float
            See above.
        max_iter : int
            At most so many Newton steps.
        first : State, optional
            The state at ``point``, where it is known.
        loose : bool
            End without the bound: the point is only where another solve begins.
        """
        X, rough, products, converged = self.rows.X, True, 0, False
        state = first or self.state(point.Z)
        value = self.objective(C, point.W, state)
        for steps in range(max_iter + 1):
            g = (X.T @ state.R).mul_(C).addcmul_(point.W, self.penalised)
            stand_in = self._stand_in(C, state.P)
            floor = self._floor(stand_in)
            gap, enough = 0.5 * dot(g, g / stand_in), 0.0
            if gap > tol * tol * value:
                goal = max(0.3 * tol * math.sqrt(value / gap), 0.5 * math.sqrt(gap / value))
            else:  # it seems to be the end
                goal, enough = _FIRM, _PROVED * tol * tol * value
                converged = loose or 0.5 * dot(g, g / floor) <= enough
            if converged or (steps == max_iter and not enough):
                break
            step = self._newton(C, g, state.P, stand_in, floor, min(0.5, goal), enough, rough)
            products += step.products
            rough = rough and step.sound
            if enough:
                gap = step.bound
                converged = gap <= enough and self._is_near(step.S)
                if converged or steps == max_iter:
                    break
            found = self._search(C, point, value, step.S, dot(g, step.S))
            if found is None:
                if not rough:
                    break  # rounding: nothing lower can be found
                rough = False
                continue
            point, state, value = found
        return Solution(point, value, steps, products, gap, converged)

    def between(self, C: float, known: Sequence[Point], ahead: float) -> tuple[Point, State]:
        """Return the best combination of solutions for other C, a start for this one.

        Scores are linear in the coefficients, so that no matrix product is needed: Newton's method
        on as many numbers as there are solutions.

        Parameters
        ----------
        C : float
            Inverse strength of the penalty, here.
        known : sequence of Point
            Solutions for other C, the nearest last.
        ahead : float
            How far to begin from the nearest, in steps from the last but one to it.
        """
        parts = [known[-1]]
        for back in known[-2::-1]:  # differences lie less along one line than solutions do
            parts.append(Point(known[-1].W - back.W, known[-1].Z - back.Z))
        share = np.zeros(len(parts))
        share[0] = 1.0
        share[1:2] = ahead
        penalty = np.array(
            [[dot(a.W * self.penalised, b.W) for b in parts] for a in parts], dtype=np.float64
        )
        point = _combined(parts, share)
        state = self.state(point.Z)
        value = self.objective(C, point.W, state)
        for _ in range(_MOST_BLENDS):
            slope, bend = self._derivatives(parts, state)
            slope, bend = C * slope + penalty @ share, C * bend + penalty
            step = -np.linalg.lstsq(bend, slope, rcond=1e-10)[0]
            for _ in range(_HALVINGS):
                tried = _combined(parts, share + step)
                new = self.state(tried.Z)
                reached = self.objective(C, tried.W, new)
                if reached <= value:
                    break
                step = step / 2
            else:
                break
            gained, share = value - reached, share + step
            point, state, value = tried, new, reached
            if gained <= 1e-2 * value:
                break
        return point, state

    def _derivatives(
        self, parts: Sequence[Point], state: State
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return gradient (k,) and Hessian (k, k) of the loss by the shares of k parts."""
        k = len(parts)
        slope = torch.zeros(k, dtype=torch.float64, device=state.P.device)
        bend = torch.zeros(k, k, dtype=torch.float64, device=state.P.device)
        for begin in range(0, self.n, self.step):
            span = slice(begin, begin + self.step)
            P, w = state.P[span], self.weights[span]
            top = P.argmax(1, keepdim=True)
            U = [part.Z[span] - part.Z[span].gather(1, top) for part in parts]
            PU = [P * u for u in U]
            means = torch.stack([pu.sum(1) for pu in PU])
            for a in range(k):
                slope[a] += (state.R[span] * U[a]).sum(dtype=torch.float64)
                for b in range(a, k):
                    inner = (PU[a] * U[b]).sum(1) - means[a] * means[b]
                    bend[a, b] += (inner * w[:, 0]).sum(dtype=torch.float64)
        bend = bend + bend.triu(1).T
        return slope.cpu().numpy(), bend.cpu().numpy()

    def _stand_in(self, C: float, P: Tensor) -> Tensor:
        """Return the diagonal (r + 1, K) of the Hessian if p hung on the class alone."""
        mean = P.new_zeros(self.K)
        for k in range(0, self.n, self.step):
            p, w = P[k : k + self.step], self.weights[k : k + self.step]
            mean += ((p * (1 - p)).mul_(w) if self.weighted else p * (1 - p)).sum(0)
        floor = torch.finfo(P.dtype).tiny
        spread = C * self.rows.spread / self.total
        return (spread * mean).add_(self.penalised).clamp_(min=floor * 1e6)

    def _floor(self, stand_in: Tensor) -> Tensor:
        """Return the diagonal (r + 1, K) of what is nowhere above the Hessian.

        The penalty alone bends the objective so much everywhere; intercepts have none, but without
        their residual the others' Hessian is still the penalty's and more.
        """
        floor = self.penalised.expand_as(stand_in).clone()
        floor[-1] = stand_in[-1]
        return floor

    def _newton(
        self, C: float, g: Tensor, P: Tensor, stand_in: Tensor, floor: Tensor, goal: float,
        enough: float, rough: bool,
    ) -> Step:  # fmt: skip
        top = P.argmax(1, keepdim=True)
        P = P.to(self.H.dtype)
        return newton_step(
            lambda V: self.curved(C, P, top, V, rough), g, stand_in, floor, goal, enough
        )

    def _is_near(self, S: Tensor) -> bool:
        """Say whether a step leaves every score about where it is."""
        scores = self.rows.X @ S
        return float((scores.amax(1) - scores.amin(1)).max()) <= _NEAR

    def _search(
        self, C: float, point: Point, value: float, S: Tensor, slope: float
    ) -> tuple[Point, State, float] | None:
        """Halve the step until the objective falls enough; scores are linear in the step."""
        if slope >= 0:
            return None
        ZS, length = self.rows.X @ S, 1.0
        slack = 8 * torch.finfo(S.dtype).eps * abs(value)
        for _ in range(_HALVINGS):
            tried = Point(point.W + length * S, point.Z + length * ZS)
            state = self.state(tried.Z)
            reached = self.objective(C, tried.W, state)
            if reached <= value + 1e-4 * length * slope + slack:
                return tried, state, reached
            length /= 2
        return None


def _combined(parts: Sequence[Point], share: NDArray[np.float64]) -> Point:
    W, Z = parts[0].W * share[0], parts[0].Z * share[0]
    for part, much in zip(parts[1:], share[1:], strict=True):
        W.add_(part.W, alpha=much)
        Z.add_(part.Z, alpha=much)
    return Point(W, Z)
