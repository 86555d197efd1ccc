"""What a finished run said of each test image, read from its folder again."""

import csv
from dataclasses import dataclass

from featbench.errors import FeatbenchError
from featbench.experiments._result import LOG_LOSS, UNCALIBRATED, Result, ResultStore


@dataclass(frozen=True)
class PredictionTable:
    """A run's predictions.csv, column by column, an entry a test image.

    Parameters
    ----------
    ids : tuple of str
        The images.
    labels, predicted : tuple of str
        Class names.
    confidences : tuple of float, or None
        The probability of the predicted class; None where the method gives none.
    groups : tuple of str, or None
        Which images belong together; None where the data set has no groups, or the file is of
        before they were kept.
    uncalibrated : tuple of float, or None
        What the confidences were before calibration; None where there was none.
    losses : tuple of float, or None
        Each image's log-loss in nats; None where the method gives no probabilities, or the file is
        of before they were kept.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    confidences: tuple[float, ...] | None = None
    groups: tuple[str, ...] | None = None
    uncalibrated: tuple[float, ...] | None = None
    losses: tuple[float, ...] | None = None


def load_predictions(store: ResultStore, result: Result) -> PredictionTable | None:
    """Return what a run said of each test image; None where it kept no predictions.

    Parameters
    ----------
    store : ResultStore
        Where the result is.
    result : Result
        Of the run.

    Raises
    ------
    FeatbenchError
        When the file cannot be read, or is no table of predictions.
    """
    path = store.folder / result.run_id / "predictions.csv"
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            heading, *rows = csv.reader(file)
        columns = dict(zip(heading, zip(*rows, strict=True), strict=True)) if rows else {}
        ids, labels, predicted = columns["id"], columns["label"], columns["predicted"]
        chances = columns["confidence"]
        confidences = tuple(map(float, chances)) if all(chances) else None
        numbers = (columns.get(name) for name in (UNCALIBRATED, LOG_LOSS))
        uncalibrated, losses = (None if one is None else tuple(map(float, one)) for one in numbers)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise FeatbenchError(
            f"{path}: is no table of predictions ({error}); remove its folder and run again"
        ) from error
    return PredictionTable(
        ids, labels, predicted, confidences, columns.get("group"), uncalibrated, losses
    )
