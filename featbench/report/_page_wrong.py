"""A report's wrong predictions: small inline images of what the best methods have wrong."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from featbench.errors import FeatbenchError
from featbench.experiments import PredictionTable, ResultStore, load_predictions
from featbench.report._image_sheets import letter, thumbnail
from featbench.report._names import labels_among
from featbench.report._rows import Row
from featbench.report._wrong import Case, cases_of, open_images, reader_of

_MODELS = 3
_IMAGES = 24
_BYTES = 240_000  # of all images of a page, as base64
_SIDE = 144


@dataclass(frozen=True)
class Shown:
    """An image that was answered wrongly.

    Parameters
    ----------
    uri : str
        The image itself, a data: URI.
    width, height : int
        In pixels.
    alt : str
        What it is and what it was taken for.
    label : str
        Its class.
    answers : tuple of (str, str, bool)
        Letter and class, confidence (may be empty), whether it is right; one a model.
    """

    uri: str
    width: int
    height: int
    alt: str
    label: str
    answers: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class WrongOnes:
    """What is shown of one data set.

    Parameters
    ----------
    models : tuple of (str, str)
        Letter and name of each.
    shown : tuple of Shown
        The images, those that most models have wrong first.
    wrong, images : int
        How many images at least one of the models has wrong, of how many.
    why_none : str
        Why no image is shown; empty where there are some, or nothing is wrong.
    """

    models: tuple[tuple[str, str], ...]
    shown: tuple[Shown, ...]
    wrong: int
    images: int
    why_none: str = ""


def wrong_ones(
    rows: Sequence[Row], store: ResultStore, *, data: str | None, cache: str, room: int = _BYTES
) -> WrongOnes | None:
    """Return what the best methods of one data set have wrong; None without predictions.

    Parameters
    ----------
    rows : sequence of Row
        Its methods, the best first.
    store : ResultStore
        Where their runs are.
    data : str, optional
        Where the images are now; by default where they were.
    cache : str
        The feature store's folder, whose index knows unchanged files.
    room : int
        Bytes that the images may take.
    """
    tables: list[PredictionTable] = []
    results = []
    for row in rows:
        table = load_predictions(store, row.first)
        if table is not None and len(tables) < _MODELS:
            tables.append(table)
            results.append(row.first)
    if not tables:
        return None
    cases = cases_of(tables)
    wrong = [case for case in cases if case.wrong]
    names = labels_among(results)
    models = tuple((letter(i), name) for i, name in enumerate(names))
    if not wrong:
        return WrongOnes(models, (), 0, len(cases))
    try:
        dataset = open_images(results[0], data, cache)
    except FeatbenchError as error:
        return WrongOnes(models, (), len(wrong), len(cases), str(error))
    read = reader_of(dataset)
    shown: list[Shown] = []
    for case in wrong[:_IMAGES]:
        image = read(case.id)
        if image is None:
            continue
        one = _shown(case, image)
        room -= len(one.uri)
        if room < 0:
            break
        shown.append(one)
    return WrongOnes(models, tuple(shown), len(wrong), len(cases))


def _shown(case: Case, image: Image.Image) -> Shown:
    small = thumbnail(image.convert("RGB"), _SIDE)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=72, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
    answers = tuple(
        (f"{letter(i)} {a.predicted}" if len(case.answers) > 1 else a.predicted,
         "" if a.confidence is None else f"{100 * a.confidence:.0f}%", a.predicted == case.label)
        for i, a in enumerate(case.answers)
    )  # fmt: skip
    taken = dict.fromkeys(a.predicted for a in case.answers if a.predicted != case.label)
    alt = f"{case.label}, taken for {' and '.join(taken)}"
    return Shown(uri, small.width, small.height, alt, case.label, answers)
