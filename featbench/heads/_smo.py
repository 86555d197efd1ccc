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

from featbench.heads._compiled import compiled, inlined

_TINY = 1e-12  # stands in where the curvature along a working set is not positive
_SMALL = 2048  # a pair of at most so many rows gets its kernel values in a matrix of its own


@inlined
def _greatest(values, count):  # type: ignore[no-untyped-def]
    """Return the greatest of the first values, and its place, the last of equals."""
    a, b, c, d = -math.inf, -math.inf, -math.inf, -math.inf
    whole = count - count % 4
    for t in range(0, whole, 4):  # four chains at once: a comparison waits for the one before it
        a = values[t] if values[t] > a else a
        b = values[t + 1] if values[t + 1] > b else b
        c = values[t + 2] if values[t + 2] > c else c
        d = values[t + 3] if values[t + 3] > d else d
    for t in range(whole, count):
        a = values[t] if values[t] > a else a
    a, c = b if b > a else a, d if d > c else c
    a = c if c > a else a
    for t in range(count - 1, -1, -1):
        if values[t] == a:
            return a, t
    return a, -1


@inlined
def _steepest(slope, rise, count, work):  # type: ignore[no-untyped-def]
    """Return the steepest way up and its row, the last of equals; -1 where no row may rise."""
    for t in range(count):
        work[t] = -slope[t] if rise[t] else -math.inf
    most, t = _greatest(work, count)
    return most, t if most > -math.inf else -1


@inlined
def _partner(slope, fall, diagonal, block, row, i, most, count, down, gain):  # type: ignore[no-untyped-def]
    """Return the steepest way down, and the row that with row i gains most, the last of equals."""
    own = diagonal[i]
    for t in range(count):
        down[t] = slope[t] if fall[t] else -math.inf
        difference = most + down[t]
        difference = difference if difference > 0.0 else 0.0
        curvature = own + diagonal[t] - 2.0 * block[row, t]
        gain[t] = difference * difference / (curvature if curvature > 0.0 else _TINY)
    low, _ = _greatest(down, count)
    best, t = _greatest(gain, count)
    return low, t if best > 0 else -1


@inlined
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


@inlined
def _note(block, row, sign, upper, alpha, rise, fall, at_bound, t, old):  # type: ignore[no-untyped-def]
    """Note which way a coefficient can go now, and what those at their upper bound add."""
    was_top, is_top, is_zero = old >= upper[t], alpha[t] >= upper[t], alpha[t] <= 0
    rise[t] = not is_top if sign[t] > 0 else not is_zero
    fall[t] = not is_zero if sign[t] > 0 else not is_top
    if was_top != is_top:
        change = sign[t] * (-upper[t] if was_top else upper[t])
        for k in range(len(at_bound)):
            at_bound[k] += change * block[row, k]


@compiled
def _is_settled(slope, rise, fall, t, up, low):  # type: ignore[no-untyped-def]
    """Say whether a coefficient at its bound is sure to stay there."""
    return (not rise[t] and -slope[t] > up) or (not fall[t] and slope[t] > low)


@inlined
def _row(gram, place, block, is_small, t, spare):  # type: ignore[no-untyped-def]
    """Return which row of ``block`` has kernel values with row t; a big pair's are put there."""
    if is_small:
        return t
    source = place[t]
    for k in range(len(place)):
        block[spare, k] = gram[source, place[k]]
    return spare


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
            row = _row(gram, place, block, is_small, t, 0)
            by = sign[t] * alpha[t]
            for k in range(count, total):
                slope[k] += by * block[row, k]


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
def _leave_out(block, is_small, slot, place, rise, fall, floats, up, low, count):  # type: ignore[no-untyped-def]
    """Put rows that are settled behind the others; return how many others there are."""
    slope, t = floats[0], 0
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
                _swap(block, is_small, t, count, floats)
        t += 1
    return count


@compiled
def _copied(gram, rows):  # type: ignore[no-untyped-def]
    """Return the kernel values between some rows."""
    block = np.empty((len(rows), len(rows)), np.float32)
    for a in range(len(rows)):
        source = gram[rows[a]]
        for b in range(len(rows)):
            block[a, b] = source[rows[b]]
    return block


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
    alpha, slope, at_bound = np.zeros(total), -sign, np.zeros(total)
    down, gain = np.empty(total), np.empty(total)
    rise, fall = sign > 0, sign < 0
    is_small = total <= _SMALL
    block = _copied(gram, rows) if is_small else np.empty((2, total), np.float32)
    count, steps, until, was_restored = total, 0, min(total, 1000) + 1, False
    is_bounded = False
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
            floats = (slope, sign, upper, own, alpha, at_bound)
            count = _leave_out(block, is_small, slot, place, rise, fall, floats, up, low, count)
        i, j, row_i, is_again = -1, -1, 0, False
        while True:
            most, i = _steepest(slope, rise, count, down)
            if i >= 0:
                row_i = _row(gram, place, block, is_small, i, 0)
                low, j = _partner(slope, fall, own, block, row_i, i, most, count, down, gain)
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
        row_j = _row(gram, place, block, is_small, j, 1)
        old_i, old_j = alpha[i], alpha[j]
        _step(own[i] + own[j] - 2.0 * block[row_i, j], sign, upper, alpha, slope, i, j)
        by_i, by_j = sign[i] * (alpha[i] - old_i), sign[j] * (alpha[j] - old_j)
        for k in range(count):
            slope[k] += block[row_i, k] * by_i + block[row_j, k] * by_j
        _note(block, row_i, sign, upper, alpha, rise, fall, at_bound, i, old_i)
        is_bounded = is_bounded or alpha[i] >= upper[i] or alpha[j] >= upper[j]
        _note(block, row_j, sign, upper, alpha, rise, fall, at_bound, j, old_j)
    _restore(gram, place, block, is_small, sign, alpha, slope, rise, fall, at_bound, count)
    for t in range(total):
        alpha_out[slot[t]] = alpha[t]
    return steps, _offset(slope, rise, fall), is_bounded


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
    bounded,
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
    bounded : ndarray of bool, shape (p,)
        Is filled with whether a coefficient has ever been at its bound: where none has, larger
        bounds change no step.
    """
    for p in numbers:
        i, j = pairs[p]
        n_i, n_j = starts[i + 1] - starts[i], starts[j + 1] - starts[j]
        rows, limits = np.empty(n_i + n_j, np.int64), np.empty(n_i + n_j)
        rows[:n_i], rows[n_i:] = order[starts[i] : starts[i + 1]], order[starts[j] : starts[j + 1]]
        limits[:n_i] = bounds[starts[i] : starts[i + 1]]
        limits[n_i:] = bounds[starts[j] : starts[j + 1]]
        alpha = np.empty(n_i + n_j)
        steps[p], rho, bounded[p] = _solve_pair(
            gram, diagonal, rows, n_i, limits, tol, max_iter, stop, alpha
        )
        intercept[p] = -rho
        for t in range(n_i):
            dual[j - 1, starts[i] + t] = alpha[t]
        for t in range(n_j):
            dual[i, starts[j] + t] = -alpha[n_i + t]
