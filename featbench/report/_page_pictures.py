"""A report's pictures: inline SVG, each with a heading, a caption and a text in its place."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from featbench.experiments import PredictionTable, Result, ResultStore, load_predictions
from featbench.report._confusion import confusion_of, draw_confusion
from featbench.report._curves import curves_of, draw_curves
from featbench.report._drawing import as_svg
from featbench.report._few_shot_picture import draw_few_shots
from featbench.report._layers import draw_layers, layer_sweeps
from featbench.report._names import label_of, labels_in_full
from featbench.report._page_subjects import Subject
from featbench.report._reliability import draw_reliability, reliability_lines
from featbench.report._rows import Row
from featbench.report._speed import COSTS, costed, draw_speed, pareto_front
from featbench.report._standings import draw_standings

_CURVES = 12  # runs whose curves can still be followed
FEW_SHOTS = "Few-shot curves"
_TOLD = 12  # lines that are read out
_LINES = 5  # runs whose calibration can


@dataclass(frozen=True)
class Picture:
    """One picture of the page.

    Parameters
    ----------
    heading : str
        Above it.
    svg : Markup
        The picture.
    width : float
        Its own width in inches.
    alt : str
        What it shows, for who cannot see it.
    caption : str
        How it is read.
    """

    heading: str
    svg: Markup
    width: float
    alt: str
    caption: str


def pictures_of(
    subject: Subject, store: ResultStore, name: str, target: float | None = None
) -> list[Picture]:
    """Return the pictures of one part of the page.

    Parameters
    ----------
    subject : Subject
        What it is of.
    store : ResultStore
        Where the runs are.
    name : str
        Begins the ids in the pictures: no two parts' are alike.
    target : float, optional
        The accuracy, a fraction, that few-shot curves mark; see ``Subject.goal``.
    """
    rows = subject.rows
    found = (
        *_standings(rows),
        *_few_shots(subject, target),
        *_layers(rows),
        *_speed(rows),
        *_curves(rows, store),
        *_confusion(rows, store),
        *_reliability(rows, store),
    )
    return [
        Picture(heading, Markup(as_svg(figure, f"{name}-{i}")), float(figure.get_figwidth()),
                alt, caption)
        for i, (heading, figure, alt, caption) in enumerate(found)
    ]  # fmt: skip


_Parts = tuple[str, Figure, str, str]


def _standings(rows: Sequence[Row]) -> Iterator[_Parts]:
    labels = labels_in_full([row.first for row in rows[:30]])
    values = "; ".join(f"{label} {100 * (row.accuracy or 0):.1f}%"
                       for label, row in zip(labels, rows, strict=False))  # fmt: skip
    yield (
        "Accuracy", draw_standings(rows), f"Test accuracies with intervals. {values}",
        "The point is the test accuracy (the mean over seeds), the line its 95% interval. Methods "
        "that share a letter are not told apart.",
    )  # fmt: skip


def _few_shots(subject: Subject, target: float | None) -> Iterator[_Parts]:
    if not subject.curves:
        return
    goal = subject.goal(target)
    told = "; ".join(
        f"{curve.label}: " + ", ".join(f"{100 * mean:.1f}% with {size}" for size, mean
                                       in zip(curve.shots, curve.means, strict=True))
        for curve in subject.curves[:_TOLD]
    )  # fmt: skip
    yield (
        FEW_SHOTS, draw_few_shots(subject.curves, goal),
        f"Test accuracy against images a class. {told}",
        f"Rings: where the mean over draws first reaches {100 * goal:g}%. Points of one size stand "
        "a little apart, so that intervals do not cover each other.",
    )  # fmt: skip


def _layers(rows: Sequence[Row]) -> Iterator[_Parts]:
    sweeps = layer_sweeps([run for row in rows for run in row.runs])
    if not sweeps:
        return
    told = "; ".join(
        f"{sweep.network}, {sweep.label}: "
        + ", ".join(f"{100 * mean:.1f}% at {layer}" for layer, mean
                    in zip(sweep.layers, sweep.means, strict=True))
        for sweep in sweeps[:_TOLD]
    )  # fmt: skip
    yield (
        "Accuracy against depth", draw_layers(sweeps),
        f"Test accuracy against the layer that a head is fitted on. {told}",
        "Layers from the first to the last, features being what comes before the classifier. "
        "Points of one layer stand a little apart, so that intervals do not cover each other.",
    )  # fmt: skip


def _speed(rows: Sequence[Row]) -> Iterator[_Parts]:
    runs = [run for row in rows for run in row.runs]
    for cost in ("images_per_second", "fit_seconds"):
        methods = costed(runs, cost)
        if len(methods) < 2:
            continue
        front = pareto_front(methods, less_is_better=COSTS[cost].less_is_better)
        told = "; ".join(
            f"{m.label} {100 * m.accuracy:.1f}% at {COSTS[cost].said.format(m.cost)}" for m in front
        )
        against = "speed" if cost == "images_per_second" else "fitting time"
        yield (
            f"Accuracy against {against}", draw_speed(runs, cost),
            f"Scatter plot against {COSTS[cost].heading}. On the Pareto front: {told}",
            "Filled and numbered: no other method is better in both. Times are of the machine on "
            "which each run was done.",
        )  # fmt: skip


def _curves(rows: Sequence[Row], store: ResultStore) -> Iterator[_Parts]:
    trained = [(run, history) for row in rows for run in row.runs
               if (history := store.history(run)) is not None]  # fmt: skip
    if not trained:
        return
    curves = curves_of(trained[:_CURVES])
    ends = "; ".join(f"{c.label}: {len(c.history)} epochs" for c in curves)
    rest = f" The best {_CURVES} of {len(trained)} runs." if len(trained) > _CURVES else ""
    yield (
        "Training curves", draw_curves(curves), f"Loss and accuracy by epoch. {ends}",
        "Training dashed, in training mode; validation solid; a ring around the epoch whose "
        f"weights were kept.{rest}",
    )  # fmt: skip


def _tables(rows: Sequence[Row], store: ResultStore) -> Iterator[tuple[Result, PredictionTable]]:
    for row in rows:
        table = load_predictions(store, row.first)
        if table is not None:
            yield row.first, table


def _confusion(rows: Sequence[Row], store: ResultStore) -> Iterator[_Parts]:
    for result, table in _tables(rows, store):
        found = confusion_of(table)
        worst = "; ".join(f"{m.label} taken for {m.predicted} {m.times} of {m.images} times"
                          for m in found.mistakes()[:10])  # fmt: skip
        yield (
            "Confusion of the best", draw_confusion(found, label_of(result)),
            f"Confusion matrix of {len(found.classes)} classes. {worst or 'No confusion at all'}",
            "A row a true class, a column an answer; the stronger the colour, the larger "
            "the share of its row.",
        )  # fmt: skip
        return


def _reliability(rows: Sequence[Row], store: ResultStore) -> Iterator[_Parts]:
    runs = [(r, t) for r, t in _tables(rows, store) if t.confidences is not None][:_LINES]
    if not runs:
        return
    lines = reliability_lines(runs)
    errors = "; ".join(f"{line.label} {100 * line.after.error:.1f}%" for line in lines)
    yield (
        "Calibration", draw_reliability(lines),
        f"Reliability diagram. Expected calibration errors: {errors}",
        "Above the diagonal answers are right more often than their confidence says, below it less "
        "often. ECE: expected calibration error, 15 bins.",
    )  # fmt: skip
