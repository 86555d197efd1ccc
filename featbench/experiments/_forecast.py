"""What a plan comes to before it is carried out: what is finished, and which rows are stored."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from featbench.datasets import Dataset, unread_images
from featbench.errors import in_words
from featbench.experiments._feature_table import FeatureTable
from featbench.experiments._run import Run
from featbench.experiments._session import Session
from featbench.extraction import stored_rows
from featbench.finetune import Schedule, pooling_at, storage_at
from featbench.networks import PIXELS, is_at_hand

MOST_READ = 2_000
"""Of a set with more images that the index does not know nothing is said: all would be read."""


@dataclass(frozen=True)
class Forecast:
    """What is known of a run without doing it.

    Parameters
    ----------
    run : Run
        The run.
    run_id : str, optional
        None where it could not be told.
    finished : bool, optional
        Whether its result is there; None where that could not be told.
    cached, rows : int, optional
        How many rows of its frozen part are stored, of how many; None where nothing is frozen, or
        it could not be told.
    unknown : str
        Why something could not be told.
    """

    run: Run
    run_id: str | None = None
    finished: bool | None = None
    cached: int | None = None
    rows: int | None = None
    unknown: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the run's fields and what is known of it, plain enough for JSON."""
        known = {name: getattr(self, name) for name in vars(self) if name != "run"}
        return {**self.run.as_dict(), **known}

    def describe(self) -> str:
        """Return one line for people, without what the run is."""
        if self.unknown:
            return f"unknown ({self.unknown})"
        words = [f"finished, run {self.run_id}" if self.finished else "to do"]
        if not self.finished and self.rows is not None and self.cached is not None:
            missing = self.rows - self.cached
            words.append(
                f"{self.cached:,} of {self.rows:,} rows cached" if self.cached and missing
                else f"all {self.rows:,} rows cached" if self.cached
                else f"{self.rows:,} rows to extract"
            )  # fmt: skip
        return ", ".join(words)


def forecast(session: Session, runs: Sequence[Run]) -> list[Forecast]:
    """Look up every run; nothing is computed, trained or downloaded.

    A data set's images are named by their content, which the index knows; where more than
    ``MOST_READ`` images would have to be read for it, its runs are unknown.

    Parameters
    ----------
    session : Session
        Whose results and cache are looked at.
    runs : sequence of Run
        As in a plan.

    Returns
    -------
    list of Forecast
        In the order of the runs.

    Raises
    ------
    UsageError
        For data that are not there.
    """
    found: dict[str, Forecast] = {}
    for run in runs:
        dataset = session.opened(run)
        try:
            found[run.key] = _one(session, run, dataset, found)
        except Exception as error:  # whatever it is, doing the run will fail so, and record it
            found[run.key] = Forecast(run, unknown=in_words(error).splitlines()[0])
    return [found[run.key] for run in runs]


def _one(session: Session, run: Run, dataset: Dataset, earlier: dict[str, Forecast]) -> Forecast:
    if not isinstance(dataset, FeatureTable):
        unread = unread_images(dataset, session.cache)
        if unread > MOST_READ:
            return Forecast(run, unknown=f"{unread:,} images would have to be read; any command "
                                         "that extracts them remembers them")  # fmt: skip
        if not is_at_hand(run.network, run.weights):
            return Forecast(run, unknown=f"weights of {run.network} may have to be downloaded")
    if isinstance(run.init_from, Run):
        before = earlier.get(run.init_from.key)
        if before is None or not before.finished:
            return Forecast(run, finished=False)
    name = session.identify(run).run_id
    known = session.store.find(name)
    finished = known is not None and not known.approximate
    return Forecast(run, name, finished, *_rows(session, run, dataset))


def _rows(session: Session, run: Run, dataset: Dataset) -> tuple[int | None, int | None]:
    """Return how many rows are stored, of how many: at the cut, and of a warm start's features."""
    if isinstance(dataset, FeatureTable):
        return None, None
    network = session.network(run)
    stored = functools.partial(
        stored_rows, network=network, precision=run.precision, cache=session.cache
    )
    if run.head:
        return stored(dataset, layer=run.layer, pooling="avg")
    schedule, usual = run.schedule(), Schedule()
    if schedule.normalise != usual.normalise:
        return None, None  # with its own normalisation it takes other rows, known when it trains
    if (schedule.augment, schedule.copies) != (usual.augment, usual.copies):
        return None, None  # nor are views counted before
    drawn = run.sample.draw(dataset, seed=run.seed, split_seed=run.split_seed)
    at = network.place_of(run.blocks or 0)
    counts = []
    if at != PIXELS:
        pooling, storage = pooling_at(network, at), storage_at(at)
        counts.append(stored(drawn, layer=at, pooling=pooling, storage=storage))
    if run.warm_start is not None:
        counts.append(stored(drawn, pooling="avg"))
    return (sum(n for n, _ in counts), sum(n for _, n in counts)) if counts else (None, None)
