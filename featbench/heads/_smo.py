"""A compiled solver for the pairs of a one-vs-one SVM: LIBSVM's path to LIBSVM's solution.

Sequential minimal optimisation with second-order working sets (Fan, Chen and Lin 2005) and
shrinking, in LIBSVM's order (Chang and Lin 2011, sections 4.1, 5.1 and 5.4) and with its
precisions: kernel values in single, all else in double. So the two stop at the same point, and not
only within the tolerance of each other.
"""

import math
from typing import Any

import numpy as np

from featbench.heads._compiled import compiled

_TINY = 1e-12  # stands in where the curvature along a working set is not positive


@compiled
def _row(gram: Any, place: Any, sign: Any, t: int, count: int, out: Any) -> None:
    """Put row t of Q, sign · sign · kernel, at ``out``, its first ``count`` columns."""
    source, own = gram[place[t]], sign[t]
    for k in range(count):
        out[k] = own * sign[k] * source[place[k]]


@compiled
def _select(gram, diagonal, place, sign, upper, alpha, gradient, count, tol, q):  # type: ignore[no-untyped-def]
    """Return the working set (i, j), with row i of Q in ``q``; (-1, -1) where it is optimal."""
    most, first = -math.inf, -1
    for t in range(count):
        if sign[t] > 0:
            if alpha[t] < upper[t] and -gradient[t] >= most:
                most, first = -gradient[t], t
        elif alpha[t] > 0 and gradient[t] >= most:
            most, first = gradient[t], t
    if first < 0:
        return -1, -1
    _row(gram, place, sign, first, count, q)
    other, second, best = -math.inf, -1, math.inf
    for t in range(count):
        if sign[t] > 0:
            if alpha[t] <= 0:
                continue
            violation = gradient[t]
        else:
            if alpha[t] >= upper[t]:
                continue
            violation = -gradient[t]
        other = max(other, violation)
        difference = most + violation
        if difference > 0:
            curvature = (
                diagonal[place[first]] + diagonal[place[t]] - 2.0 * (sign[first] * sign[t] * q[t])
            )
            gain = -(difference * difference) / (curvature if curvature > 0 else _TINY)
            if gain <= best:
                best, second = gain, t
    if most + other < tol or second < 0:
        return -1, -1
    return first, second


@compiled
def _step(diagonal, place, sign, upper, alpha, gradient, i, j, q_ij):  # type: ignore[no-untyped-def]
    """Move the pair to its optimum inside its box."""
    top_i, top_j = upper[i], upper[j]
    new_i, new_j = alpha[i], alpha[j]
    base = diagonal[place[i]] + diagonal[place[j]]
    if sign[i] != sign[j]:
        curvature = base + 2.0 * q_ij
        move = (-gradient[i] - gradient[j]) / (curvature if curvature > 0 else _TINY)
        gap = new_i - new_j
        new_i += move
        new_j += move
        if gap > 0:
            if new_j < 0:
                new_i, new_j = gap, 0.0
        elif new_i < 0:
            new_i, new_j = 0.0, -gap
        if gap > top_i - top_j:
            if new_i > top_i:
                new_i, new_j = top_i, top_i - gap
        elif new_j > top_j:
            new_i, new_j = top_j + gap, top_j
    else:
        curvature = base - 2.0 * q_ij
        move = (gradient[i] - gradient[j]) / (curvature if curvature > 0 else _TINY)
        total = new_i + new_j
        new_i -= move
        new_j += move
        if total > top_i:
            if new_i > top_i:
                new_i, new_j = top_i, total - top_i
        elif new_j < 0:
            new_i, new_j = total, 0.0
        if total > top_j:
            if new_j > top_j:
                new_i, new_j = total - top_j, top_j
        elif new_i < 0:
            new_i, new_j = 0.0, total
    alpha[i], alpha[j] = new_i, new_j


@compiled
def _shrinkable(sign, upper, alpha, gradient, t, up, low):  # type: ignore[no-untyped-def]
    """Say whether a coefficient at its bound is sure to stay there."""
    if alpha[t] >= upper[t]:
        return -gradient[t] > (up if sign[t] > 0 else low)
    if alpha[t] <= 0:
        return gradient[t] > (low if sign[t] > 0 else up)
    return False


@compiled
def _restore(gram, place, sign, upper, alpha, gradient, at_bound, count, q):  # type: ignore[no-untyped-def]
    """Compute the gradients of the coefficients that were left out."""
    total = len(alpha)
    for t in range(count, total):
        gradient[t] = at_bound[t] - 1.0
    for t in range(count):
        if 0 < alpha[t] < upper[t]:
            _row(gram, place, sign, t, total, q)
            for k in range(count, total):
                gradient[k] += alpha[t] * q[k]


@compiled
def _shrink(slot, place, sign, upper, alpha, gradient, at_bound, count, up, low):  # type: ignore[no-untyped-def]
    """Put the shrinkable coefficients behind the others; return how many those are."""
    t = 0
    while t < count:
        if _shrinkable(sign, upper, alpha, gradient, t, up, low):
            count -= 1
            while count > t:
                if not _shrinkable(sign, upper, alpha, gradient, count, up, low):
                    slot[t], slot[count] = slot[count], slot[t]
                    place[t], place[count] = place[count], place[t]
                    sign[t], sign[count] = sign[count], sign[t]
                    upper[t], upper[count] = upper[count], upper[t]
                    alpha[t], alpha[count] = alpha[count], alpha[t]
                    gradient[t], gradient[count] = gradient[count], gradient[t]
                    at_bound[t], at_bound[count] = at_bound[count], at_bound[t]
                    break
                count -= 1
        t += 1
    return count


@compiled
def _offset(sign, upper, alpha, gradient):  # type: ignore[no-untyped-def]
    """Return rho: the mean over free coefficients, else the middle of what the others allow."""
    free, total, least, most = 0, 0.0, math.inf, -math.inf
    for t in range(len(alpha)):
        value = sign[t] * gradient[t]
        at_top, at_zero = alpha[t] >= upper[t], alpha[t] <= 0
        if not at_top and not at_zero:
            free += 1
            total += value
        elif at_top == (sign[t] < 0):
            least = min(least, value)
        else:
            most = max(most, value)
    return total / free if free else (least + most) / 2


@compiled
def _solve_pair(gram, diagonal, rows, n_first, bounds, tol, max_iter, stop, alpha_out):  # type: ignore[no-untyped-def]
    total = len(rows)
    slot = np.arange(total)
    place, upper = rows.copy(), bounds.copy()
    sign = np.ones(total, np.float32)
    sign[n_first:] = -1
    alpha, at_bound = np.zeros(total), np.zeros(total)
    gradient = np.full(total, -1.0)
    q, p = np.empty(total, np.float32), np.empty(total, np.float32)
    count, steps, until, was_restored = total, 0, min(total, 1000) + 1, False
    while (max_iter < 0 or steps < max_iter) and not stop[0]:
        until -= 1
        if until == 0:
            until = min(total, 1000)
            up, low = -math.inf, -math.inf
            for t in range(count):
                rising, falling = alpha[t] < upper[t], alpha[t] > 0
                if sign[t] > 0:
                    if rising:
                        up = max(up, -gradient[t])
                    if falling:
                        low = max(low, gradient[t])
                else:
                    if rising:
                        low = max(low, -gradient[t])
                    if falling:
                        up = max(up, gradient[t])
            if not was_restored and up + low <= tol * 10:
                was_restored = True
                _restore(gram, place, sign, upper, alpha, gradient, at_bound, count, q)
                count = total
            count = _shrink(slot, place, sign, upper, alpha, gradient, at_bound, count, up, low)
        i, j = _select(gram, diagonal, place, sign, upper, alpha, gradient, count, tol, q)
        if i < 0:
            if count < total:
                _restore(gram, place, sign, upper, alpha, gradient, at_bound, count, q)
            count = total
            i, j = _select(gram, diagonal, place, sign, upper, alpha, gradient, count, tol, q)
            if i < 0:
                break
            until = 1
        steps += 1
        _row(gram, place, sign, j, count, p)
        old_i, old_j = alpha[i], alpha[j]
        was_top_i, was_top_j = old_i >= upper[i], old_j >= upper[j]
        _step(diagonal, place, sign, upper, alpha, gradient, i, j, q[j])
        by_i, by_j = alpha[i] - old_i, alpha[j] - old_j
        for k in range(count):
            gradient[k] += q[k] * by_i + p[k] * by_j
        if was_top_i != (alpha[i] >= upper[i]):
            _row(gram, place, sign, i, total, q)
            change = -upper[i] if was_top_i else upper[i]
            for k in range(total):
                at_bound[k] += change * q[k]
        if was_top_j != (alpha[j] >= upper[j]):
            _row(gram, place, sign, j, total, p)
            change = -upper[j] if was_top_j else upper[j]
            for k in range(total):
                at_bound[k] += change * p[k]
    if count < total:
        _restore(gram, place, sign, upper, alpha, gradient, at_bound, count, q)
    for t in range(total):
        alpha_out[slot[t]] = alpha[t]
    return steps, _offset(sign, upper, alpha, gradient)


@compiled
def solve_pairs(  # type: ignore[no-untyped-def]
    gram,
    diagonal,
    order,
    starts,
    pairs,
    numbers,
    bounds,
    tol,
    max_iter,
    stop,
    dual,
    intercept,
    steps,
):
    """Solve the two-class problems of some pairs of classes.

    Parameters
    ----------
    gram : ndarray of float32, shape (m, m)
        Kernel values.
    diagonal : ndarray of float64, shape (m,)
        k(x, x).
    order : ndarray of int64, shape (n,)
        Rows of ``gram`` by class: those of class c are order[starts[c]:starts[c + 1]].
    starts : ndarray of int64, shape (n_classes + 1,)
        Where each class begins in ``order``.
    pairs : ndarray of int64, shape (p, 2)
        Classes (i, j), i < j.
    numbers : ndarray of int64
        Which pairs to solve.
    bounds : ndarray of float64, shape (n,)
        The largest that each row's coefficient may become, C times its weight; as ``order``.
    tol : float
        Stop where the optimality conditions are violated by less.
    max_iter : int
        Stop after so many steps; -1 is never.
    stop : ndarray of int64, shape (1,)
        Another thread sets it to 1 to end the work.
    dual : ndarray of float64, shape (n_classes - 1, n)
        Is filled with signed coefficients, as SVC's ``dual_coef_`` with all rows.
    intercept : ndarray of float64, shape (p,)
        Is filled.
    steps : ndarray of int64, shape (p,)
        Is filled with the number of steps; at ``max_iter`` the pair has not converged.
    """
    for p in numbers:
        i, j = pairs[p]
        n_i, n_j = starts[i + 1] - starts[i], starts[j + 1] - starts[j]
        rows, limits = np.empty(n_i + n_j, np.int64), np.empty(n_i + n_j)
        rows[:n_i], rows[n_i:] = order[starts[i] : starts[i + 1]], order[starts[j] : starts[j + 1]]
        limits[:n_i] = bounds[starts[i] : starts[i + 1]]
        limits[n_i:] = bounds[starts[j] : starts[j + 1]]
        alpha = np.empty(n_i + n_j)
        steps[p], rho = _solve_pair(gram, diagonal, rows, n_i, limits, tol, max_iter, stop, alpha)
        intercept[p] = -rho
        for t in range(n_i):
            dual[j - 1, starts[i] + t] = alpha[t]
        for t in range(n_j):
            dual[i, starts[j] + t] = -alpha[n_i + t]
