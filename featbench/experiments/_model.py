"""A run's model: the whole way from pixels to label, in a folder that can be given away.

    model.json           which network and weights, every step of the preprocessing, class names
    head.json, head.…    the head (featbench/heads/_saved.py)

Where a run trained the network itself its folder is as ``_trained_model.py`` says.

The network's weights are not in it: they are named, by source and by sha256, and looked for where
``create_network`` finds them. A file of weights is never opened because a model says so.
"""

import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featbench.datasets import GIVEN, Dataset, decoder_version
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments._answers import Answers
from featbench.experiments._model_file import (
    DESCRIPTION,
    FOLDER,
    FORMAT,
    ModelFile,
    check_classes,
    check_note,
    check_same,
)
from featbench.experiments._read_model import ReadModel
from featbench.experiments._result import FINE_TUNE, ResultStore
from featbench.experiments._trained_model import TrainedModel, trained_model
from featbench.extraction import Features, extract
from featbench.files import write_whole
from featbench.heads import HEADS, FileNote, Head, load_head, save_head
from featbench.networks import RUN, GivenWeights, Network, create_network
from featbench.progress import SILENT, Reporter
from featbench.untrusted import (
    JSON_BYTES,
    check_described,
    is_plain,
    read_sealed,
    sealed,
    shown,
)

_HEAD = "head.json"


@dataclass(frozen=True)
class SavedModel(ReadModel):
    """A model as it was read: nothing of its file has been run.

    Parameters
    ----------
    folder : Path
        Where it lies.
    described : object
        What ``model.json`` says.
    head : Head
        Fitted.
    store : ResultStore, optional
        Where the run is looked for whose network is the backbone.
    """

    head: Head
    store: ResultStore | None = None

    @property
    def method(self) -> str:
        """The head's registered name."""
        return self.head_name

    @property
    def head_name(self) -> str:
        """The head's registered name."""
        return next(name for name, kind in HEADS.items() if type(self.head) is kind)

    @property
    def network_key(self) -> tuple[Any, ...]:
        """What the network is: models with the same can share one."""
        note = self.described.network
        return () if note is None else (note.name, note.weights, note.seed, str(note.spec))

    @property
    def origin(self) -> tuple[str | None, str | None]:
        """The network's name and weights; None where it was fitted on rows of a file."""
        note = self.described.network
        return (None, None) if note is None else (note.name, note.weights)

    def create_network(self, weights: Path | None = None) -> Network:
        """Make the network anew, and see that it is the one.

        Parameters
        ----------
        weights : Path, optional
            The file of weights, where the run was fitted with one.

        Raises
        ------
        UsageError
            When there is no network, its file is not given, or it is another one.
        FeatbenchError
            When its weights are not on this machine and cannot be had.
        """
        path, note = self.folder / DESCRIPTION, self.described.network
        if note is None:
            raise UsageError(f"{path}: was fitted on a file of features, so it knows no way from "
                             "an image to a row; fit a run with --data and --backbone")  # fmt: skip
        if note.from_file and weights is None:
            raise UsageError(f"{path}: needs the weights file {note.weights!r} of its {note.name}; "
                             "give it with --weights FILE")  # fmt: skip
        source: str | GivenWeights = note.weights
        if note.from_file and weights:
            source = str(weights.absolute())
        try:
            if source == note.weights and self.store is not None:
                source = find_weights(source, self.store)
            network = create_network(note.name, source, seed=note.seed)
        except FeatbenchError as error:
            raise type(error)(f"{path}: {error}") from error
        check_same(network, note, path)
        return network

    def predict(
        self,
        images: Dataset,
        network: Network,
        *,
        cache: str | Path = "cache",
        device: str = "auto",
        reporter: Reporter = SILENT,
    ) -> Answers:
        """Say what images are, by the same code that made the rows in training.

        Rows that the feature store has are not computed again, and new ones are kept there.

        Parameters
        ----------
        images : Dataset
            As ``given_images`` returns them.
        network : Network
            As ``create_network`` returns it.
        cache : path
            The feature store's folder.
        device : str
            As in ``extract``.
        reporter : Reporter
            Is told of progress.

        Raises
        ------
        UsageError
            When no image can be decoded, or the network's rows are not the head's.
        """
        assert self.described.network is not None
        spec = self.described.network.spec
        if spec["decoder"] != decoder_version():
            reporter.say(f"{self.title}: was fitted with {shown(spec['decoder'])[:200]}, here it "
                         f"is {decoder_version()}: rows may differ a little")  # fmt: skip
        features = extract(
            images, network, layer=spec["layer"], pooling=spec["pooling"],
            precision=spec["precision"], cache=cache, device=device, reporter=reporter,
        )  # fmt: skip
        part = features.splits[GIVEN]
        if part.X.shape[1:] != (self.head.n_features_in_,):
            raise UsageError(f"{self.folder}: its head expects rows of {self.head.n_features_in_} "
                             f"numbers, the network gives {part.X.shape[1:]}")  # fmt: skip
        return _ask(self.head, part.X, part.ids, len(self.classes), features.skipped)


def _ask(
    head: Head, rows: NDArray[Any], ids: tuple[str, ...], count: int,
    skipped: tuple[tuple[str, str], ...],
) -> Answers:  # fmt: skip
    predicted = head.predict(rows).astype(np.int64)
    chances = scores = None
    if hasattr(head, "predict_proba"):
        chances = np.zeros((len(rows), count))
        chances[:, head.classes_] = head.predict_proba(rows)
    elif hasattr(head, "decision_function"):
        values = head.decision_function(rows)
        scores = np.full((len(rows), count), -np.inf)
        scores[:, head.classes_] = np.stack([-values, values], 1) if values.ndim == 1 else values
    return Answers(ids, predicted, chances, scores, skipped)


def save_model(
    folder: Path, head: Head, *, run: str, dataset: Dataset, seed: int = 0,
    network: Network | None = None, features: Features | None = None, from_file: bool = False,
) -> None:  # fmt: skip
    """Write a head and the way to its rows into a folder, ``model.json`` last.

    Parameters
    ----------
    folder : Path
        A model that is there is replaced.
    head : Head
        Fitted on indices into the data set's classes.
    run : str
        The run's id.
    dataset : Dataset
        What it was fitted on.
    seed : int
        Of the network, where its weights are random.
    network : Network, optional
        What made the rows; None where they are from a file.
    features : Features, optional
        The network's rows.
    from_file : bool
        Whether the network's weights are from a file of the user's.

    Raises
    ------
    UsageError
        When something in it cannot be saved safely.
    FeatbenchError
        When the folder cannot be written.
    """
    check_classes(dataset.classes, dataset.name)
    try:
        (folder / DESCRIPTION).unlink(missing_ok=True)  # from here on an old model is none
        save_head(head, folder)
        described = _describe(folder, run, dataset, _note(network, features, seed, from_file))
        write_whole(folder / DESCRIPTION, sealed(described))
    except OSError as error:
        raise FeatbenchError(f"{folder}: cannot be written ({error.strerror})") from error


def _note(
    network: Network | None, features: Features | None, seed: int, from_file: bool
) -> dict[str, Any] | None:
    if network is None or features is None:
        return None
    return {
        "name": network.name,
        "weights": network.weights,
        "from_file": from_file,
        "seed": seed,
        "spec": json.loads(features.spec.as_json()),
        "engine": features.engine,
    }


def _describe(
    folder: Path, run: str, dataset: Dataset, note: dict[str, Any] | None
) -> dict[str, Any]:
    described = {
        "format": FORMAT,
        "run": run,
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "network": note,
        "head": FileNote.of((folder / _HEAD).read_bytes()).model_dump(),
        "versions": {p: version(p) for p in ("featbench", "torch", "timm")},
    }
    check_described(described, ModelFile, str(folder / DESCRIPTION))
    return described


def load_model(folder: Path) -> SavedModel | TrainedModel:
    """Read a model; the file may be anybody's, and nothing in it is run.

    Parameters
    ----------
    folder : Path
        With ``model.json`` in it.

    Returns
    -------
    SavedModel or TrainedModel
        A head, or a network that was trained.

    Raises
    ------
    UsageError
        When a file is missing, damaged, not what it should be, or of a later version.
    """
    path = folder / DESCRIPTION
    described = read_sealed(path, ModelFile, FORMAT)
    check_classes(described.classes, str(path))
    if not (is_plain(described.run) and is_plain(described.dataset)):
        raise UsageError(f"{path}: run or dataset: holds control characters")
    if (described.head is None) == (described.trained is None):
        raise UsageError(f"{path}: describes not one model, a head or a trained network")
    if described.head is None:
        return trained_model(folder, described)
    described.head.read(folder / _HEAD, JSON_BYTES)
    head = load_head(folder)
    labels = head.classes_
    if labels.dtype != np.int64 or labels[0] < 0 or labels[-1] >= len(described.classes):
        raise UsageError(f"{path}: classes: {len(described.classes)} names do not go with the "
                         "head's labels")  # fmt: skip
    if described.network is not None:
        check_note(described.network, path)
    return SavedModel(folder, described, head)


def find_model(run: str, store: ResultStore) -> SavedModel | TrainedModel:
    """Read the model of a run, or of a folder of somebody else's.

    Parameters
    ----------
    run : str
        How a run's id begins; or the path of a run's folder, or of its model's.
    store : ResultStore
        The results.

    Raises
    ------
    UsageError
        When there is no such run or it has no model, with what can be done.
    """
    path = Path(run).expanduser()
    if not path.is_dir():
        result = store.get(run)
        if result.status != "ok":
            raise UsageError(f"run {result.run_id} failed ({result.error}): it has no model")
        path = store.folder / result.run_id
    folder = path if (path / DESCRIPTION).exists() else path / FOLDER
    if not (folder / DESCRIPTION).exists():
        raise UsageError(f"{path}: holds no model ({DESCRIPTION}); runs keep one since featbench "
                         "saves models: do it again with --again")  # fmt: skip
    model = load_model(folder)
    return model if isinstance(model, TrainedModel) else replace(model, store=store)


def find_trained(run: str, store: ResultStore) -> TrainedModel:
    """Read the network that a run has trained.

    Parameters
    ----------
    run : str
        How its id begins.
    store : ResultStore
        The results.

    Raises
    ------
    UsageError
        When there is no such run, it trained no network, or its model is missing or another's.
    """
    result = store.get(run)
    if result.status == "ok" and result.method != FINE_TUNE:
        raise UsageError(
            f"run {result.run_id} fitted a head, {result.method}, on {result.network}:"
            f" it trained no network; its weights are --weights {result.weights}"
        )
    model = find_model(result.run_id, store)
    if not isinstance(model, TrainedModel) or model.described.run != result.run_id:
        raise UsageError(f"{store.folder / result.run_id / FOLDER}: holds another run's model; do "
                         "the run again with --again")  # fmt: skip
    return model


def find_weights(weights: str, store: ResultStore) -> str | GivenWeights:
    """Return what ``create_network`` takes: the weights of a run where a run is named.

    Parameters
    ----------
    weights : str
        ``run:`` and how a run's id begins; or anything else, which is returned as it is.
    store : ResultStore
        The results.

    Raises
    ------
    UsageError
        As ``find_trained``.
    """
    if not weights.startswith(RUN):
        return weights
    return find_trained(weights.removeprefix(RUN), store).given_weights()
