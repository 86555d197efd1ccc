"""What a run's method is given to work with, and what it gives back."""

from dataclasses import dataclass
from typing import Any

from featbench.datasets import Dataset
from featbench.experiments._result import Predictions
from featbench.experiments._tensorboard import TensorBoard
from featbench.finetune import FineTuneClassifier
from featbench.heads import Head
from featbench.progress import SILENT, Reporter


@dataclass(frozen=True)
class Conditions:
    """How work is done here; no part of what a run is.

    Parameters
    ----------
    cache : str
        The feature store's folder.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    strict : bool
        A broken image is an error.
    memory : int, optional
        Bytes that one big matrix of a head may take; by default half of what is free.
    activation_budget : int, optional
        As in ``FineTuneClassifier``.
    reporter : Reporter
        Is told of progress.
    tensorboard : TensorBoard, optional
        Is told of each epoch of a training.
    """

    cache: str = "cache"
    device: str = "auto"
    strict: bool = False
    memory: int | None = None
    activation_budget: int | None = None
    reporter: Reporter = SILENT
    tensorboard: TensorBoard | None = None


@dataclass(frozen=True)
class Outcome:
    """What a method gave.

    Parameters
    ----------
    dataset : Dataset
        The data that it saw.
    predictions : dict of str to Predictions
        By split.
    fields : dict
        The fields of ``Result`` that it knows.
    history : list of dict
        A row an epoch.
    skipped : tuple of (str, str)
        Id and reason of each item left out.
    head : Head, optional
        Fitted.
    tuned : FineTuneClassifier, optional
        Likewise, where a network was trained.
    """

    dataset: Dataset
    predictions: dict[str, Predictions]
    fields: dict[str, Any]
    history: list[dict[str, Any]]
    skipped: tuple[tuple[str, str], ...]
    head: Head | None = None
    tuned: FineTuneClassifier | None = None


def images_per_second(
    below: float, images_below: int, above: float, images_above: int
) -> float | None:
    """Return the images a second from file to label, with nothing cached.

    Parameters
    ----------
    below, above : float
        Seconds spent below the cut, decoding among them, and above it.
    images_below, images_above : int
        On how many images; where one is 0 there is no such rate, and None is returned.
    """
    if not images_below or not images_above:
        return None
    seconds = below / images_below + above / images_above
    return 1 / seconds if seconds > 0 else None
