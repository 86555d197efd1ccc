"""A run: one point of the grid, (data, network, weights, cut, trainer), and its identity."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from featbench.datasets import Dataset
from featbench.errors import UsageError, did_you_mean
from featbench.experiments._result import FINE_TUNE
from featbench.experiments._sample import Sample
from featbench.experiments._selection import Selection
from featbench.extraction import PRECISIONS
from featbench.finetune import Schedule
from featbench.heads import Head, create_head, search_space
from featbench.networks import FEATURES, check_network


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
        What the file calls ``X``, ``y``, ``split``, ``id`` and ``group``, as ``load_features``
        takes them.
    head : str, optional
        A registered head: the cut is at the features, or at ``layer``.
    blocks : int or str, optional
        As in ``FineTuneClassifier``.
    settings : dict
        The head's settings, or the training schedule's.
    warm_start : str, optional
        A linear head to start the classifier from.
    warm_start_settings : dict
        That head's settings.
    init_from : str or Run, optional
        How a finished run's id begins, or the run itself: training goes on from its weights,
        classifier included (staged training), in place of ``weights``.
    layer : str
        The place of the network whose values, averaged over positions, a head is fitted on.
    sample : Sample
        Which images it learns from; by default all.
    seed, split_seed : int
        For training and what is drawn, and for splits.
    limit : int, optional
        Images a class and split.
    precision : str
        Of the forward through what is frozen: ``float32`` or ``bfloat16``.
    selection : Selection
        How a head's settings are chosen; by default they are not.
    recipe : str
        The recipe's name; empty for a single command.
    published : dict, optional
        ``test_accuracy`` and ``source`` of a published figure for this run.
    name : str
        What the recipe calls it; no part of its identity.
    init_seed : int, optional
        Of fresh weights, where that is another one than ``seed``: runs of several seeds then begin
        with the same network, and differ by what training draws.
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
    warm_start_settings: dict[str, Any] = field(default_factory=dict)
    init_from: "str | Run | None" = None
    layer: str = FEATURES
    sample: Sample = field(default_factory=Sample)
    name: str = ""
    init_seed: int | None = None

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
        if self.warm_start_settings and self.warm_start is None:
            raise UsageError("settings of a warm start's head need a warm_start")
        if self.layer != FEATURES and (self.head is None or self.features is not None):
            raise UsageError(f"layer {self.layer!r}: goes with a head on a network's values")
        if self.init_from is not None and self.blocks is None:
            raise UsageError("init_from goes with blocks; a head takes a run's network by "
                             "weights = \"run:ID\"")  # fmt: skip
        if self.init_seed is not None and (self.blocks is None or self.init_from is not None):
            raise UsageError("init_seed goes with blocks, and without init_from: it seeds the "
                             "fresh weights that a training begins with")  # fmt: skip
        if self.init_from is not None and (self.warm_start is not None
                                           or self.weights != "default"):  # fmt: skip
            raise UsageError("init_from goes without weights and warm_start: it brings its own, "
                             "classifier included")  # fmt: skip

    @property
    def source(self) -> str:
        """Where the items come from: the file of features, or the data."""
        return self.data if self.features is None else self.features

    @property
    def network_seed(self) -> int:
        """What seeds the network's fresh weights."""
        return self.seed if self.init_seed is None else self.init_seed

    @property
    def method(self) -> str:
        """The head's name, or ``fine-tune``."""
        return self.head or FINE_TUNE

    @property
    def uses_frozen_values(self) -> bool:
        """Whether a frozen forward is part of it, whose precision then matters."""
        return self.blocks not in ("all", "pixels") or self.warm_start is not None

    @property
    def asked_settings(self) -> dict[str, Any]:
        """The settings as they were asked for, a warm start among them."""
        if self.warm_start is None:
            return self.settings
        warm = {"warm_start": self.warm_start, "warm_start_settings": self.warm_start_settings}
        return {**self.settings, **warm}

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
                # says so where there is nothing to tune
                search_space(self.head, self.settings, 1, own=self.selection.space)
            chosen = head.get_params(deep=False)
        else:
            usual = {**vars(Schedule()), "warm_start": None, "warm_start_settings": {}}
            chosen = {**vars(self.schedule()), **self._warm_start_identity()}
            given = {**chosen, "warm_start_settings": self.warm_start_settings}
            return plain_settings(chosen), _differing(given, usual)
        return plain_settings(chosen), _differing(chosen, usual)

    def check_classes(self, dataset: Dataset) -> None:
        """Raise UsageError where settings have a class weight of what is no class of the data."""
        for settings in (self.settings, self.warm_start_settings):
            if isinstance(weights := settings.get("class_weight"), dict):
                dataset.by_label(weights)

    def schedule(self) -> Schedule:
        """Return how to train; raises UsageError for a setting that is not known or cannot be."""
        known = Schedule.__dataclass_fields__
        for key in self.settings:
            if key not in known:
                raise UsageError(f"training has no setting {key!r}{did_you_mean(key, known)} "
                                 f"Settings: {', '.join(known)}")  # fmt: skip
        return Schedule(**self.settings)

    def warm_start_head(self) -> Head | None:
        """Return the unfitted head that the classifier starts from.

        Raises
        ------
        UsageError
            For an unknown head or setting, or a head that is no linear layer.
        """
        if self.warm_start is None:
            return None
        head = create_head(self.warm_start, **self.warm_start_settings)
        if "random_state" in head.get_params() and "random_state" not in self.warm_start_settings:
            head.set_params(random_state=self.seed)
        if "strategy" in head.get_params() and "strategy" not in self.warm_start_settings:
            head.set_params(strategy="one-vs-rest")  # votes of pairs are no layer
        if not head.has_linear_layer():
            raise UsageError(
                f"warm_start={self.warm_start!r}: is not one linear layer on features as they are "
                "or standardised; use logreg, ridge, svm-linear with its strategy=one-vs-rest, mlp "
                "with its hidden=[], or centroid with its metric=euclidean"
            )
        return head

    def _warm_start_identity(self) -> dict[str, Any]:
        head = self.warm_start_head()
        if head is not None and self.schedule().hidden:
            raise UsageError("warm_start goes without hidden: a linear head has no hidden layers")
        if head is not None and self.schedule().normalise != "weights":
            raise UsageError("warm_start goes without normalise: its head is fitted on features of "
                             "the weights' own normalisation")  # fmt: skip
        settings = {} if head is None else plain_settings(head.get_params(deep=False))
        return {"warm_start": self.warm_start, "warm_start_settings": settings}

    def chosen_settings(self, head: Head) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a chosen head's settings, and those that differ from the defaults."""
        chosen = head.get_params(deep=False) | self._by_class()
        return plain_settings(chosen), _differing(chosen, self._head_defaults(self.method))

    def with_names(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return a line of the ledger whose settings name classes as they were asked for."""
        return {**line, "settings": plain_settings(line["settings"] | self._by_class())}

    def _by_class(self) -> dict[str, Any]:
        return {k: v for k, v in self.settings.items() if isinstance(v, dict)}

    def _head_defaults(self, name: str) -> dict[str, Any]:
        usual: dict[str, Any] = create_head(name).get_params(deep=False)
        return usual | ({"random_state": self.seed} if "random_state" in usual else {})

    @property
    def stage(self) -> int:
        """Which this is of runs that go on from each other, from 1."""
        return 1 + self.init_from.stage if isinstance(self.init_from, Run) else 1

    @property
    def key(self) -> str:
        """All of it but its name as one text: equal runs have the same."""
        plain = {name: value for name, value in self.as_dict().items() if name != "name"}
        return json.dumps(plain, sort_keys=True)

    def as_dict(self) -> dict[str, Any]:
        """Return every field, plain enough for JSON."""
        return asdict(self)

    def called(self) -> dict[str, Any]:
        """Return the fields that a recipe sets beside a run, which are no part of what it is."""
        published = self.published or {}
        said = {
            "name": self.name,
            "published_test_accuracy": published.get("test_accuracy"),
            "published_source": published.get("source"),
        }
        return {name: value for name, value in said.items() if value not in (None, "")}

    def describe(self) -> str:
        """Return one line for people."""
        what = (
            self.head or f"train {self.blocks if self.blocks == 'all' else f'blocks={self.blocks}'}"
        )
        settings = ", ".join(f"{k}={v}" for k, v in self.settings.items())
        own = ", ".join(f"{k}={v}" for k, v in self.warm_start_settings.items())
        start = f"run {self.init_from}" if isinstance(self.init_from, str) else self.weights
        if isinstance(self.init_from, Run):
            start = f"stage {self.stage}"
        warm = f" from {self.warm_start}{f' ({own})' if own else ''}" if self.warm_start else ""
        drawn = ", ".join(f"{k}={v}" for k, v in self.sample.describe().items())
        words = [
            f"{self.network} ({start}) · {what}{warm}{f' [{settings}]' if settings else ''}",
            self.selection.in_words(),
            "" if self.layer == FEATURES else f"at {self.layer}",
            f"{drawn}, draw {self.seed}" if drawn else f"seed {self.seed}" if self.seed else "",
        ]
        return ", ".join(filter(None, words))


def _differing(chosen: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return plain_settings({k: v for k, v in chosen.items() if v != usual[k]})


def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as JSON has them: tuples as lists, names of what is named as text."""
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


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
