"""What several runs said of each image, the images that most of them have wrong first."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from PIL import Image

from featbench.datasets import Dataset, load_dataset, use_index
from featbench.errors import BrokenImageError, UsageError
from featbench.experiments import PredictionTable, Result


class Answer(NamedTuple):
    """What one run said of an image, and how sure it was (None where it gives no probability)."""

    predicted: str
    confidence: float | None


class Case(NamedTuple):
    """An image and what was said of it.

    Parameters
    ----------
    id, label : str
        The image, and its class.
    answers : tuple of Answer
        One a run.
    """

    id: str
    label: str
    answers: tuple[Answer, ...]

    @property
    def wrong(self) -> int:
        """How many runs have it wrong."""
        return sum(answer.predicted != self.label for answer in self.answers)


def cases_of(tables: Sequence[PredictionTable]) -> list[Case]:
    """Return the images that all runs have answered, the worst first.

    Parameters
    ----------
    tables : sequence of PredictionTable
        One a run, of one data set.

    Returns
    -------
    list of Case
        By the number of runs that have it wrong, then by how sure the surest of these was.

    Raises
    ------
    UsageError
        When they have no image in common, or an image has two labels.
    """
    answered: list[dict[str, tuple[str, Answer]]] = []
    for table in tables:
        chances = table.confidences or (None,) * len(table.ids)
        columns = zip(table.ids, table.labels, table.predicted, chances, strict=True)
        answered.append({name: (label, Answer(said, c)) for name, label, said, c in columns})
    shared = [name for name in answered[0] if all(name in one for one in answered)]
    if not shared:
        raise UsageError("these runs have no test image in common; name runs of one data set")
    cases = []
    for name in shared:
        labels = {one[name][0] for one in answered}
        if len(labels) > 1:
            raise UsageError(f"{name}: has two labels in these runs; name runs of one data set")
        cases.append(Case(name, labels.pop(), tuple(one[name][1] for one in answered)))
    return sorted(cases, key=lambda case: (-case.wrong, -_surest(case), case.id))


def _surest(case: Case) -> float:
    wrong = [a.confidence or 0.0 for a in case.answers if a.predicted != case.label]
    return max(wrong, default=0.0)


def open_images(result: Result, source: str | None, cache: str) -> Dataset:
    """Open the data set that a run was measured on, and see that it is the same.

    Parameters
    ----------
    result : Result
        The run.
    source : str, optional
        Where it is now; by default where it was.
    cache : str
        The feature store's folder, whose index knows unchanged files.

    Raises
    ------
    UsageError
        When it is not there, has no images (a file of features), or other ones.
    """
    place = source or result.source
    run = f"run {result.run_id[:6]}"
    if not place:
        raise UsageError(f"{run}: does not say where its data lay; give --data")
    if (
        source is None
        and not result.rows_computed + result.rows_cached
        and (result.cut == "classifier")
    ):
        raise UsageError(f"{run}: was fitted on a file of features, which holds no images")
    dataset = load_dataset(place, limit=result.limit, split_seed=result.split_seed)
    use_index(dataset, cache)
    if dataset.fingerprint != result.fingerprint:
        raise UsageError(
            f"{place}: is not what {run} was measured on ({result.dataset}: images, labels or "
            "splits differ); give --data with that one, or run again"
        )
    return dataset


def reader_of(dataset: Dataset) -> Callable[[str], Image.Image | None]:
    """Return a function from a test image's id to the image, None where it cannot be decoded.

    Parameters
    ----------
    dataset : Dataset
        As ``open_images`` returns it.
    """
    place = {name: row for row, name in enumerate(dataset.test.ids)}

    def read(name: str) -> Image.Image | None:
        try:
            return dataset.test.read(place[name])
        except (BrokenImageError, OSError):
            return None

    return read
