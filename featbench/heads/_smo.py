"""A compiled solver for the pairs of a one-vs-one SVM: LIBSVM's path to LIBSVM's solution.

Sequential minimal optimisation with second-order working sets (Fan, Chen and Lin 2005) and
shrinking (Chang and Lin 2011, sections 4.1, 5.1 and 5.4), in LIBSVM's order and with its
precisions, kernel values in single, all else in double: the two make the same steps and stop at the
same point, not only within the tolerance of each other.

What LIBSVM calls y·G is ``slope`` here: rows with the steepest slopes either way make the working
set. A row may *rise* where y·alpha can still grow, and *fall* where it can shrink.
"""

import math

import numpy as np

from featbench.heads._compiled import compiled

_TINY = 1e-12  # stands in where the curvature along a working set is not positive
_SMALL = 2048  # a pair of at most so many rows gets its kernel values in a matrix of its own


@compiled
def _steepest(slope, rise, count):  # type: ignore[no-untyped-def]
    """Return the steepest way up and its row, the last of equals; -1 where no row may rise."""
    most = -math.inf
    for t in range(count):
        value = -slope[t] if rise[t] else -math.inf
        most = value if value > most else most
    for t in range(count - 1, -1, -1):
        if rise[t] and -slope[t] == most:
            return most, t
    return most, -1


@compiled
def _partner(slope, fall, diagonal, kernel, i, most, count, gain):  # type: ignore[no-untyped-def]
    """Return the steepest way down, and the row that with row i gains most, the last of equals."""
    own, low, best = diagonal[i], -math.inf, 0.0
    for t in range(count):
        down = slope[t] if fall[t] else -math.inf
        low = down if down > low else low
        difference = most + down
        difference = difference if difference > 0.0 else 0.0
        curvature = own + diagonal[t] - 2.0 * kernel[t]
        curvature = curvature if curvature > 0.0 else _TINY
        value = difference * difference / curvature
        gain[t] = value
        best = value if value > best else best
    if best > 0:
        for t in range(count - 1, -1, -1):
            if gain[t] == best:
                return low, t
    return low, -1


@compiled
def _step(curvature, sign, upper, alpha, slope, i, j):  # type: ignore[no-untyped-def]
    """Move two coefficients to their optimum inside their box."""
    curvature = curvature if curvature > 0 else _TINY
    top_i, top_j = upper[i], upper[j]
    new_i, new_j = alpha[i], alpha[j]
    if sign[i] != sign[j]:
        move = (-sign[i] * slope[i] - sign[j] * slope[j]) / curvature
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
        move = (sign[i] * slope[i] - sign[j] * slope[j]) / curvature
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
def _is_settled(slope, rise, fall, t, up, low):  # type: ignore[no-untyped-def]
    """Say whether a coefficient at its bound is sure to stay there."""
    return (not rise[t] and -slope[t] > up) or (not fall[t] and slope[t] > low)


@compiled
def _row(gram, place, block, is_small, t, spare):  # type: ignore[no-untyped-def]
    """Return the pair's kernel values with row t; of a big pair they are gathered at ``spare``."""
    if is_small:
        return block[t]
    out, source = block[spare], gram[place[t]]
    for k in range(len(out)):
        out[k] = source[place[k]]
    return out


@compiled
def _restore(gram, place, block, is_small, sign, alpha, slope, rise, fall, at_bound, count):  # type: ignore[no-untyped-def]
    """Compute the slopes of the rows that were left out."""
    total = len(slope)
    if count == total:
        return
    for t in range(count, total):
        slope[t] = at_bound[t] - sign[t]
    for t in range(count):
        if rise[t] and fall[t]:
            kernel = _row(gram, place, block, is_small, t, 0)
            by = sign[t] * alpha[t]
            for k in range(count, total):
                slope[k] += by * kernel[k]


@compiled
def _extremes(slope, rise, fall, count):  # type: ignore[no-untyped-def]
    up, low = -math.inf, -math.inf
    for t in range(count):
        if rise[t]:
            up = max(up, -slope[t])
        if fall[t]:
            low = max(low, slope[t])
    return up, low


@compiled
def _swap(block, is_small, a, b, columns):  # type: ignore[no-untyped-def]
    for values in columns:
        values[a], values[b] = values[b], values[a]
    if is_small:
        for k in range(len(block)):
            block[a, k], block[b, k] = block[b, k], block[a, k]
        for k in range(len(block)):
            block[k, a], block[k, b] = block[k, b], block[k, a]


@compiled
def _offset(slope, rise, fall):  # type: ignore[no-untyped-def]
    """Return rho: the mean over free coefficients, else the middle of what the others allow."""
    free, total, least, most = 0, 0.0, math.inf, -math.inf
    for t in range(len(slope)):
        if rise[t] and fall[t]:
            free += 1
            total += slope[t]
        elif rise[t]:
            least = min(least, slope[t])
        else:
            most = max(most, slope[t])
    return total / free if free else (least + most) / 2


@compiled
def _solve_pair(gram, diagonal, rows, n_first, bounds, tol, max_iter, stop, alpha_out):  # type: ignore[no-untyped-def]
    total = len(rows)
    slot, place, upper, own = np.arange(total), rows.copy(), bounds.copy(), np.empty(total)
    for t in range(total):
        own[t] = diagonal[rows[t]]
    sign = np.ones(total)
    sign[n_first:] = -1.0
    alpha, slope, at_bound, gain = np.zeros(total), -sign, np.zeros(total), np.empty(total)
    rise, fall = sign > 0, sign < 0
    is_small = total <= _SMALL
    block = np.empty((total if is_small else 2, total), np.float32)
    if is_small:
        for a in range(total):
            source = gram[rows[a]]
            for b in range(total):
                block[a, b] = source[rows[b]]
    kernel_i, kernel_j = block[0], block[1]
    count, steps, until, was_restored = total, 0, min(total, 1000) + 1, False
    while (max_iter < 0 or steps < max_iter) and not stop[0]:
        until -= 1
        if until == 0:
            until = min(total, 1000)
            up, low = _extremes(slope, rise, fall, count)
            if not was_restored and up + low <= tol * 10:
                was_restored = True
                _restore(
                    gram, place, block, is_small, sign, alpha, slope, rise, fall, at_bound, count
                )
                count = total
            t = 0
            while t < count:
                if _is_settled(slope, rise, fall, t, up, low):
                    count -= 1
                    while count > t and _is_settled(slope, rise, fall, count, up, low):
                        count -= 1
                    if count > t:
                        slot[t], slot[count] = slot[count], slot[t]
                        place[t], place[count] = place[count], place[t]
                        rise[t], rise[count] = rise[count], rise[t]
                        fall[t], fall[count] = fall[count], fall[t]
                        floats = (sign, upper, own, alpha, slope, at_bound)
                        _swap(block, is_small, t, count, floats)
                t += 1
        i, j, is_again = -1, -1, False
        while True:
            most, i = _steepest(slope, rise, count)
            if i >= 0:
                kernel_i = _row(gram, place, block, is_small, i, 0)
                low, j = _partner(slope, fall, own, kernel_i, i, most, count, gain)
                if most + low < tol:
                    j = -1
            if j >= 0 or is_again:
                break
            _restore(gram, place, block, is_small, sign, alpha, slope, rise, fall, at_bound, count)
            count, is_again = total, True
        if j < 0:
            break
        if is_again:
            until = 1
        steps += 1
        kernel_j = _row(gram, place, block, is_small, j, 1)
        old_i, old_j = alpha[i], alpha[j]
        _step(own[i] + own[j] - 2.0 * kernel_i[j], sign, upper, alpha, slope, i, j)
        by_i, by_j = sign[i] * (alpha[i] - old_i), sign[j] * (alpha[j] - old_j)
        for k in range(count):
            slope[k] += kernel_i[k] * by_i + kernel_j[k] * by_j
        for t, old, kernel in ((i, old_i, kernel_i), (j, old_j, kernel_j)):
            was_top, is_top, is_zero = old >= upper[t], alpha[t] >= upper[t], alpha[t] <= 0
            rise[t] = not is_top if sign[t] > 0 else not is_zero
            fall[t] = not is_zero if sign[t] > 0 else not is_top
            if was_top != is_top:
                change = sign[t] * (-upper[t] if was_top else upper[t])
                for k in range(total):
                    at_bound[k] += change * kernel[k]
    _restore(gram, place, block, is_small, sign, alpha, slope, rise, fall, at_bound, count)
    for t in range(total):
        alpha_out[slot[t]] = alpha[t]
    return steps, _offset(slope, rise, fall)


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
