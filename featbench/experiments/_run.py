"""A run: one point of the grid, (data, network, weights, cut, trainer), and its identity."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from featbench.errors import UsageError
from featbench.experiments._result import FINE_TUNE
from featbench.experiments._selection import Selection
from featbench.extraction import PRECISIONS
from featbench.finetune import Schedule
from featbench.heads import Head, create_head, search_space
from featbench.networks import check_network


@dataclass(frozen=True)
class Run:
    """What is to be done; either a head on frozen features, or training above a cut.

    Features come from a network that sees the data, or from a file.

    Parameters
    ----------
    data : str
        As in ``load_dataset``.
    network, weights : str
        As in ``create_network``.
    features : str, optional
        A file as in ``load_features``, in place of data and network.
    columns : dict of str to str
        What the file calls ``X``, ``y``, ``split`` and ``id``, as ``load_features`` takes them.
    head : str, optional
        A registered head: the cut is at the features.
    blocks : int or str, optional
        As in ``FineTuneClassifier``.
    settings : dict
        The head's settings, or the training schedule's.
    warm_start : str, optional
        A linear head to start the classifier from.
    seed, split_seed : int
        For training, and for splits.
    limit : int, optional
        Images a class and split.
    precision : str
        Of the forward that gives frozen features: ``float32`` or ``bfloat16``.
    selection : Selection
        How a head's settings are chosen; by default they are not.
    recipe : str
        The recipe's name; empty for a single command.
    published : dict, optional
        ``test_accuracy`` and ``source`` of a published figure for this run.
    """

    data: str = ""
    network: str = ""
    weights: str = "default"
    head: str | None = None
    blocks: int | str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    warm_start: str | None = None
    seed: int = 0
    split_seed: int = 0
    limit: int | None = None
    precision: str = "float32"
    selection: Selection = field(default_factory=Selection)
    recipe: str = ""
    published: dict[str, Any] | None = None
    features: str | None = None
    columns: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if ":" in self.network:  # options: one spelling, so one run id
            object.__setattr__(self, "network", check_network(self.network))
        if self.precision not in PRECISIONS:
            raise UsageError(f"precision {self.precision!r}: expected {', '.join(PRECISIONS)}")
        if self.features is not None and (self.data or self.network or self.blocks is not None):
            raise UsageError("features come from a file or from a network that sees the data; and "
                             "what a file holds can only be given to a head")  # fmt: skip
        if self.features is None and not (self.data and self.network):
            raise UsageError("a run needs data and a network, or a file of features")
        if (self.head is None) == (self.blocks is None):
            raise UsageError("a run needs either a head (on frozen features) or blocks (to train)")
        if self.selection.tune and self.head is None:
            raise UsageError("tune goes with a head: a training schedule is not searched")
        if self.warm_start is not None and self.head is not None:
            raise UsageError("warm_start goes with blocks: a head is fitted from nothing")

    @property
    def source(self) -> str:
        """Where the items come from: the file of features, or the data."""
        return self.data if self.features is None else self.features

    @property
    def method(self) -> str:
        """The head's name, or ``fine-tune``."""
        return self.head or FINE_TUNE

    def settle_settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return all settings, and those that differ from the defaults.

        Raises
        ------
        UsageError
            For an unknown head or setting, or a value that cannot be.
        """
        if self.head is not None:
            usual = self._head_defaults(self.head)
            head = create_head(self.head, **self.settings)
            if "random_state" in usual and "random_state" not in self.settings:
                head.set_params(random_state=self.seed)
            if self.selection.tune:
                search_space(self.head, self.settings, 1)  # says so where there is nothing to tune
            chosen = head.get_params(deep=False)
        else:
            usual = {**vars(Schedule()), "warm_start": None}
            try:
                chosen = {**vars(Schedule(**self.settings)), "warm_start": self.warm_start}
            except TypeError as error:
                raise UsageError(f"training: {error}; known: {', '.join(usual)}") from None
            if self.warm_start is not None:
                create_head(self.warm_start)
        return plain_settings(chosen), _differing(chosen, usual)

    def chosen_settings(self, head: Head) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a chosen head's settings, and those that differ from the defaults."""
        chosen = head.get_params(deep=False)
        return plain_settings(chosen), _differing(chosen, self._head_defaults(self.method))

    def _head_defaults(self, name: str) -> dict[str, Any]:
        usual: dict[str, Any] = create_head(name).get_params(deep=False)
        return usual | ({"random_state": self.seed} if "random_state" in usual else {})

    def as_dict(self) -> dict[str, Any]:
        """Return every field, plain enough for JSON."""
        return asdict(self)

    def describe(self) -> str:
        """Return one line for people."""
        what = (
            self.head or f"train {self.blocks if self.blocks == 'all' else f'blocks={self.blocks}'}"
        )
        settings = ", ".join(f"{k}={v}" for k, v in self.settings.items())
        warm = f" from {self.warm_start}" if self.warm_start else ""
        tuned = f", tune {self.selection.tune}" if self.selection.tune else ""
        return (
            f"{self.network} ({self.weights}) · {what}{warm}{f' [{settings}]' if settings else ''}"
            f"{tuned}"
        )


def _differing(chosen: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return plain_settings({k: v for k, v in chosen.items() if v != usual[k]})


def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as JSON has them: tuples as lists."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()}


def run_id(identity: dict[str, Any], weights_sha256: str) -> str:
    """Return twelve hex characters that name a run.

    Parameters
    ----------
    identity : dict
        The identity fields of its ``Result``.
    weights_sha256 : str
        The network's weights.
    """
    text = json.dumps({**identity, "weights_sha256": weights_sha256}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
