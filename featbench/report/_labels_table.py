"""The table of labels needed: how many images a class each method needs to reach an accuracy."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from featbench.errors import UsageError
from featbench.experiments import Result
from featbench.report._columns import COLUMNS, Column, percent
from featbench.report._few_shots import NO_FEW_SHOTS, FewShotCurve, few_shot_curves
from featbench.report._rows import Row, of_data
from featbench.report._table import Section, Table, constant, filtered, telling
from featbench.statistics import LabelsNeeded

_SHARED = ("network", "weights", "method", "settings", "split_seed", "precision")


def labels_needed_table(
    results: Sequence[Result],
    target: float,
    *,
    confidence: float = 0.95,
    rows: str | None = None,
) -> Table:
    """Return how many images a class each method needs to reach an accuracy.

    Parameters
    ----------
    results : sequence of Result
        As ``few_shot_curves`` takes them.
    target : float
        Test accuracy, a fraction.
    confidence : float
        Of the interval, see ``featbench.statistics.labels_needed``.
    rows : str, optional
        Which methods, as ``make_table`` takes them.

    Returns
    -------
    Table
        A row a method: the fewest first, those that do not reach it last. For programs
        ``images_per_class`` (interpolated; none where the largest size does not reach it), its
        interval, ``labels`` (in all), ``at_most`` (the smallest size reaches it already).

    Raises
    ------
    UsageError
        When there is no few-shot run, or no row is left.
    """
    curves = few_shot_curves(results)
    if not curves:
        raise UsageError(NO_FEW_SHOTS)
    needed = {c.result.run_id: (c, c.needed(target, confidence=confidence)) for c in curves}
    made = [Row((c.result,), c.dataset) for c in sorted(curves, key=lambda c: _order(c, needed))]
    shown = filtered(made, rows) if rows else made
    own = _columns(needed, target, confidence)
    readers = (*telling(shown, _SHARED), *own)
    programs = (*(COLUMNS[name] for name in ("dataset", *_PROGRAMS)), *own)
    sections = [Section(data, tuple(those)) for data, those in of_data(shown)]
    if len(sections) == 1:
        sections = [Section("", sections[0].rows)]
    asked = [needed[row.first.run_id][0] for row in shown]
    notes = _notes(asked, target, confidence)
    hidden = constant(shown, readers)
    if len(sections) == 1:
        hidden = [("data", shown[0].data), *hidden]
    if hidden:
        notes.append("; ".join(f"{heading}: {value}" for heading, value in hidden) + ".")
    return Table(readers, programs, tuple(sections), tuple(notes), ())


_PROGRAMS = ("network", "weights", "cut", "layer", "method", "settings", "split_seed", "precision")
_Needed = dict[str, tuple[FewShotCurve, LabelsNeeded]]


def _order(curve: FewShotCurve, needed: _Needed) -> tuple[bool, float]:
    count = needed[curve.result.run_id][1].count
    return count is None, -float(curve.means[-1]) if count is None else count


def said(curve: FewShotCurve, target: float, *, interval: str = "") -> str:
    """Return how many images a class a method needs, with the 95% interval in brackets.

    Parameters
    ----------
    curve : FewShotCurve
        The method's.
    target : float
        The accuracy, a fraction.
    interval : str
        What stands before the interval.
    """
    found = curve.needed(target)
    ends = _interval(curve, found) if found.count is not None else ""
    return _count(curve, found) + (f" ({interval}{ends})" if ends else "")


def _count(curve: FewShotCurve, found: LabelsNeeded) -> str:
    return _end(curve, found.count)


def _end(curve: FewShotCurve, value: float | None) -> str:
    """Return a number of images a class; what lies beyond the sizes that were measured says so."""
    if value is None:
        return f"> {curve.shots[-1]}"
    return (
        f"≤ {curve.shots[0]}" if value <= curve.shots[0] else f"{value:.{1 if value < 100 else 0}f}"
    )


def _interval(curve: FewShotCurve, found: LabelsNeeded) -> str:
    if len(curve.draws) < 2:
        return ""
    low, high = _end(curve, found.low), _end(curve, found.high)
    return low if low == high else f"{low} to {high}"


def _columns(needed: _Needed, target: float, confidence: float) -> tuple[Column, ...]:
    def text(say: Callable[[FewShotCurve, LabelsNeeded], str]) -> Callable[[Row], str]:
        return lambda row: say(*needed[row.first.run_id])

    def values(
        names: Sequence[str], say: Callable[[FewShotCurve, LabelsNeeded], Sequence[Any]]
    ) -> Callable[[Row], dict[str, Any]]:
        def found(row: Row) -> dict[str, Any]:
            if row.first.run_id not in needed:  # asked for its names alone
                return dict.fromkeys(names)
            return dict(zip(names, say(*needed[row.first.run_id]), strict=True))

        return found

    return (
        Column("images_per_class", f"a class for {100 * target:g}%", text(_count),
               values(("images_per_class", "at_most", "target_accuracy"),
                      lambda c, n: (n.count, n.at_most, target)), True),
        Column("images_per_class_interval", f"{100 * confidence:g}% interval",
               text(lambda c, n: _interval(c, n) or "–"),
               values(("images_per_class_low", "images_per_class_high"),
                      lambda c, n: (n.low, n.high)), True),
        Column("labels", "labels", text(_labels),
               values(("labels",), lambda c, n: (None if n.count is None
                                                 else c.images_at(n.count),)), True),
        Column("most_accuracy", "test % at most",
               text(lambda c, n: f"{percent(float(c.means[-1]))} ({c.shots[-1]})"),
               values(("mean_accuracies",), lambda c, n: (c.means.tolist(),)), True),
        Column("draws", "draws", text(lambda c, n: str(len(c.draws))),
               values(("draws", "shots"), lambda c, n: (len(c.draws), list(c.shots))), True),
    )  # fmt: skip


def _labels(curve: FewShotCurve, found: LabelsNeeded) -> str:
    if found.count is None:
        return f"> {curve.images[-1]:,.0f}"
    return f"{'≤ ' * found.at_most}{ceil(curve.images_at(found.count) - 1e-6):,}"


def _notes(curves: Sequence[FewShotCurve], target: float, confidence: float) -> list[str]:
    sizes = sorted({k for curve in curves for k in curve.shots})
    notes = [
        f"Images a class until mean test accuracy over draws first reaches {100 * target:g}%, "
        "interpolated between the sizes that were measured "
        f"({', '.join(map(str, sizes))}), linear in the size's logarithm.",
        f"{100 * confidence:g}% intervals: percentile bootstrap, whole curves drawn anew (2,000 "
        "resamples, seed 0). ≤: the smallest size reaches it already; >: the largest does not. "
        "test % at most: with the most images a class that were measured, in brackets.",
    ]
    if left := sum(curve.left_out for curve in curves):
        runs = f"{left} run{'s' * (left > 1)}"
        notes.append(f"{runs} left out: other sizes of the same method lack their draw.")
    return notes
