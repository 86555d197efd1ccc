"""What training begins with: a network's own weights, or those that another run left."""

from collections.abc import Sequence
from dataclasses import dataclass

from featbench.datasets import Dataset
from featbench.errors import UsageError
from featbench.experiments._method_key import name_before
from featbench.experiments._model import find_trained, find_weights
from featbench.experiments._result import Result, ResultStore
from featbench.experiments._run import Run
from featbench.networks import RUN, GivenWeights, sha256_of_tensors

_SHOWN = 5


@dataclass(frozen=True)
class Start:
    """What a run's network is made with.

    Parameters
    ----------
    weights : str or GivenWeights
        As ``create_network`` takes them.
    classes : tuple of str
        Where the run goes on from another, classifier included, that one's; else empty.
    last : Result, optional
        The run that it goes on from.
    """

    weights: str | GivenWeights
    classes: tuple[str, ...] = ()
    last: Result | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """The runs that went before, oldest first."""
        return () if self.last is None else (*self.last.init_from, self.last.run_id)

    @property
    def before(self) -> GivenWeights | None:
        """The weights that the run goes on from, where it does."""
        return (
            self.weights
            if self.last is not None and isinstance(self.weights, GivenWeights)
            else None
        )

    @property
    def sha256(self) -> str:
        """The sha256 over all of those weights, the classifier's among them; empty without."""
        return "" if self.before is None else sha256_of_tensors(self.before.tensors)

    def goes_on(self, fingerprint: str, seed: int) -> dict[str, str]:
        """Return the fields of ``Result`` that say what the run goes on from; none without.

        Parameters
        ----------
        fingerprint : str
            Of the data that the run learns from.
        seed : int
            The run's.
        """
        if self.last is None:
            return {}
        return {
            "init_method": name_before(self.last, fingerprint, seed),
            "init_weights": self.last.init_weights or self.last.weights,
        }

    def check_classes(self, classes: Sequence[str], dataset: str) -> None:
        """Raise UsageError where a run goes on with other classes.

        Parameters
        ----------
        classes : sequence of str
            The data set's.
        dataset : str
            Its name.
        """
        if self.before is None or tuple(classes) == self.classes:
            return
        pairs = zip(classes, self.classes, strict=False)
        here, there = next(((a, b) for a, b in pairs if a != b), (None, None))
        other = "" if here is None else f"; {here!r} is in place of {there!r}"
        raise UsageError(
            f"init_from: {self.before.name} was trained on {len(self.classes)} classes "
            f"({_some(self.classes)}), {dataset} has {len(classes)} ({_some(classes)}){other}: to "
            "go on they must be the same; a new classifier takes --weights "
            f"{self.before.name} in place of init_from"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def seen_before(run: Run, dataset: Dataset, weights: str, store: ResultStore) -> str:
    """Say where earlier stages were trained on images that this run holds out; empty if nowhere.

    Parameters
    ----------
    run : Run
        The run.
    dataset : Dataset
        Its data.
    weights : str
        What its network's weights are called: ``run:ID`` where another run has trained them.
    store : ResultStore
        Where runs are found.
    """
    chooses = run.selection.tune or (run.blocks is not None and run.schedule().needs_validation)
    while weights.startswith(RUN) and (one := store.find(weights.removeprefix(RUN))) is not None:
        weights = one.weights
        if one.dataset != dataset.name:
            continue
        own_val = dataset.val is not None or not chooses
        same = one.fingerprint == dataset.fingerprint and own_val
        if one.split_seed != run.split_seed and not same:
            return (f"{RUN}{one.run_id} divided {dataset.name} by split_seed={one.split_seed}, "
                    f"this one by {run.split_seed}: it was trained on images that are held out "
                    "here, so accuracy on them is too high; give --split-seed "
                    f"{one.split_seed}")  # fmt: skip
        if one.settings.get("refit") and chooses:
            return (f"{RUN}{one.run_id} was trained on val's images too (refit): what is chosen on "
                    "them here is chosen badly; give select=last, or go on from a run without "
                    "refit")  # fmt: skip
    return ""


def start_of(run: Run, before: str | None, store: ResultStore) -> Start:
    """Return what a run's network is made with.

    Parameters
    ----------
    run : Run
        The run.
    before : str, optional
        The id of the run that it goes on from.
    store : ResultStore
        Where runs are found.

    Raises
    ------
    UsageError
        When a run that is named is not there, or trained no network.
    """
    if before is None:
        return Start(find_weights(run.weights, store))
    model = find_trained(before, store)
    return Start(model.given_weights(), tuple(model.classes), store.get(before))
