"""A report's first sentences: what won, by how much, and whether that can be told."""

from collections.abc import Iterator, Mapping, Sequence

from featbench.experiments import FROZEN
from featbench.report._columns import percent
from featbench.report._few_shots import FewShotCurve
from featbench.report._guessing_notes import guessing_sentences
from featbench.report._labels_table import said
from featbench.report._names import labels_in_full, method_name, network_name, weights_of
from featbench.report._rows import Row

_NETWORKS = 3  # of which the summary says what training more of them gains


def summary_of(data: str, rows: Sequence[Row]) -> list[str]:
    """Return what a data set's rows say, a sentence each; unescaped.

    Parameters
    ----------
    data : str
        What the data set is called.
    rows : sequence of Row
        Its methods, marked as ``with_best`` marks them.
    """
    ranked = sorted((r for r in rows if r.accuracy is not None), key=lambda r: -(r.accuracy or 0))
    return list(_sentences(data, ranked)) if ranked else [f"{data}: no run has finished."]


def labels_sentence(curves: Sequence[FewShotCurve], target: float) -> str:
    """Return which method needs the fewest images a class to reach an accuracy.

    Parameters
    ----------
    curves : sequence of FewShotCurve
        Of one data set, at least one.
    target : float
        The accuracy, a fraction.
    """
    reached = [(count, curve) for curve in curves
               if (count := curve.needed(target).count) is not None]  # fmt: skip
    goal = f"{100 * target:g}% of test images right"
    if not reached:
        return f"{curves[0].dataset}: {goal} is more than any few-shot run has reached."
    _, best = min(reached, key=lambda one: one[0])
    return (
        f"{best.dataset}: for {goal}, {best.label} needs the fewest labels: "
        f"{said(best, target, interval='95% interval ')} images a class."
    )


def _sentences(data: str, ranked: Sequence[Row]) -> Iterator[str]:
    best, *others = ranked
    labels = labels_in_full([row.first for row in ranked])
    called = {id(row): label for row, label in zip(ranked, labels, strict=True)}
    interval = best.interval
    sure = (
        ""
        if interval is None
        else (f" (95% interval {percent(interval.low)} to {percent(interval.high)})")
    )
    seeds = f", the mean of {len(best.runs)} seeds" if len(best.runs) > 1 else ""
    of = f"the best of {len(ranked)} methods is" if others else "there is one method,"
    yield (
        f"{data}: {of} {called[id(best)]}: {percent(best.accuracy)}% of "
        f"{best.first.n_test:,} test image{'s' * (best.first.n_test != 1)} right{sure}{seeds}."
    )
    tied = [row for row in others if row.tied or row.best]
    compared = [row for row in others if row.standing is not None]
    if tied:
        names = [called[id(row)] for row in tied]
        shown = "; ".join(names[:3]) + (f"; and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"The test images do not tell it apart from {shown}."
    elif compared:
        yield "It is told apart from every other method that was compared."
    yield from guessing_sentences(ranked)
    yield from _training_more(ranked, called)
    if best.first.test_ece is not None:
        yield (
            f"The best method's confidences are off by {100 * best.first.test_ece:.1f} points on "
            "average (expected calibration error)."
        )


def _training_more(ranked: Sequence[Row], called: Mapping[int, str]) -> Iterator[str]:
    """Say what training more of a network gains, each network against itself.

    That is: the best row trained above a cut of one network with one set of weights, against the
    best head on the same network's frozen features. What was trained from random weights is no
    more of any pretrained network, and is told apart, where it is the best of all.
    """
    pretrained = [row for row in ranked if weights_of(row.first) != "random"]
    names = dict.fromkeys(network_name(row.first) for row in pretrained)
    networks = [[row for row in pretrained if network_name(row.first) == name] for name in names]
    both = [rows for rows in networks if any(map(_on_frozen, rows)) and any(map(_more, rows))]
    for rows in both[:_NETWORKS]:
        more = next(row for row in rows if _more(row))
        head = next(row for row in rows if _on_frozen(row))
        gain = _points(more, head)
        does = f"loses {-gain:.1f} points against" if gain < 0 else f"gains {gain:.1f} points over"
        yield (
            f"Training more of {network_name(more.first)} {does} the best head on its frozen "
            f"features, {method_name(head.first)} ({percent(head.accuracy)}%){_told(more, head)}."
        )
    best = ranked[0]
    heads = [row for row in pretrained if _on_frozen(row)]
    if heads and weights_of(best.first) == "random" and best.first.cut != FROZEN:
        yield (
            f"{called[id(best)]} learned from random weights, and is "
            f"{_points(best, heads[0]):.1f} points above the best head on a pretrained network's "
            f"frozen features, {called[id(heads[0])]} ({percent(heads[0].accuracy)}%)"
            f"{_told(best, heads[0])}."
        )


def _more(row: Row) -> bool:
    return row.first.cut != FROZEN


def _on_frozen(row: Row) -> bool:
    """Say whether a head was fitted on the network as it came: no earlier stage trained it."""
    return row.first.cut == FROZEN and not row.first.init_from


def _points(row: Row, other: Row) -> float:
    return 100 * ((row.accuracy or 0) - (other.accuracy or 0))


def _told(row: Row, other: Row) -> str:
    """Say whether two methods are told apart, where both were compared."""
    if row.standing is None or other.standing is None:
        return ""
    shared = set(row.standing.letters) & set(other.standing.letters)
    return ", which may be chance" if shared else ", more than chance explains"
