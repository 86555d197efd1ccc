"""A run's trained network as a folder: all of its tensors, and the way from pixels to label.

model.json             which network, what was put before its classifier, preprocessing, classes
network.safetensors    the whole ``state_dict``: what was frozen is in it too
"""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featbench.datasets import GIVEN, Dataset, Split, decoder_version
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments._answers import Answers
from featbench.experiments._model_file import (
    DESCRIPTION,
    FORMAT,
    ModelFile,
    PreprocessingNote,
    TrainedNote,
    check_classes,
)
from featbench.experiments._read_model import ReadModel
from featbench.experiments._result import FINE_TUNE
from featbench.extraction import Decoder, Item, batches, choose_device
from featbench.files import write_whole
from featbench.finetune import Anatomy, FineTuneClassifier
from featbench.heads import FileNote
from featbench.machine import keep_memory
from featbench.networks import (
    GivenWeights,
    Network,
    check_values,
    most_bytes,
    sha256_of_tensors,
    tensors_from_bytes,
    tensors_to_bytes,
)
from featbench.progress import SILENT, Reporter
from featbench.untrusted import check_described, check_names_in, is_plain, sealed, shown

TENSORS = "network.safetensors"
_MOST_BYTES = 16 * 2**30


@dataclass(frozen=True)
class TrainedModel(ReadModel):
    """A trained network as its description says; its tensors are read when it is made.

    Parameters
    ----------
    folder : Path
        Where it lies.
    described : object
        What ``model.json`` says.
    note : object
        What it says of the network.
    """

    note: TrainedNote

    @property
    def method(self) -> str:
        """``fine-tune``."""
        return FINE_TUNE

    @property
    def origin(self) -> tuple[str, str]:
        """The network's name and weights."""
        return self.note.name, self.note.weights

    @property
    def network_key(self) -> tuple[Any, ...]:
        """What the network is: models with the same can share one."""
        return (FINE_TUNE, self.described.run, self.note.file.sha256)

    @property
    def anatomy(self) -> Anatomy:
        """What the network is besides its tensors."""
        note = self.note
        return Anatomy(note.name, note.outputs, tuple(note.hidden), note.dropout, note.loss,
                       note.preprocessing.steps())  # fmt: skip

    def create_network(self, weights: Path | None = None) -> Network:
        """Make the network, with its own tensors in it.

        Parameters
        ----------
        weights : Path, optional
            Not looked at: the tensors lie in the folder.

        Raises
        ------
        UsageError
            When the file of tensors is missing, damaged, or not this network's.
        """
        path, described = self.folder / TENSORS, self.folder / DESCRIPTION
        check_names_in(self.folder, {DESCRIPTION, TENSORS})
        size = self.note.file.size
        try:
            network = self.anatomy.build(f"run:{self.described.run}", size)
        except FeatbenchError as error:
            raise UsageError(f"{described}: trained: {error}") from error
        own = network.module.state_dict()
        if size > most_bytes(own):
            raise UsageError(f"{described}: trained: {size:,} bytes are more than {network.name} "
                             "has")  # fmt: skip
        content = self.note.file.read(path, size)
        tensors = tensors_from_bytes(content, own, path)
        check_values(tensors, own, str(path))
        network.module.load_state_dict(tensors)
        self._try(network)
        return network

    def _try(self, network: Network) -> None:
        """Ask about one black picture: what cannot answer is refused here, and not amid work."""
        channels, height, width = network.preprocessing.shape
        black = torch.zeros(1, height, width, channels, dtype=torch.uint8)
        try:
            chances = self.anatomy.asker(network, torch.device("cpu")).probabilities(black)
        except (RuntimeError, ValueError, IndexError) as error:  # another size than it takes
            reason = shown(str(error).partition("\n")[0])[:200]
            raise UsageError(f"{self.folder}: the network cannot predict ({reason})") from error
        _check_chances(chances, len(self.classes), self.folder)

    def given_weights(self) -> GivenWeights:
        """Return its weights, to go on from or to freeze; raises as ``create_network``."""
        network = self.create_network()
        tensors = network.module.state_dict()
        return GivenWeights(
            network.weights, self.note.name, tensors, network.preprocessing, self.note.outputs
        )

    def predict(
        self,
        images: Dataset,
        network: Network,
        *,
        cache: str | Path = "cache",
        device: str = "auto",
        reporter: Reporter = SILENT,
    ) -> Answers:
        """Say what images are, by the whole network from their pixels.

        A run that trained above a cut was measured on values at the cut that were kept in half
        precision, so its own probabilities may differ from these by about a thousandth.

        Parameters
        ----------
        images : Dataset
            As ``given_images`` returns them.
        network : Network
            As ``create_network`` returns it.
        cache : path
            Not used: nothing of a trained network is kept.
        device : str
            As in ``extract``.
        reporter : Reporter
            Is told of progress.

        Raises
        ------
        UsageError
            When no image can be decoded, or the network's answers are no numbers.
        """
        keep_memory()
        if self.note.decoder != decoder_version():
            reporter.say(f"{self.title}: was trained with {shown(self.note.decoder)[:200]}, here "
                         f"it is {decoder_version()}: answers may differ a little")  # fmt: skip
        split = images.splits[GIVEN]
        asker = self.anatomy.asker(network, choose_device(device))
        decoder = Decoder(network.preprocessing)
        items = [Item(d, p) for d, p in zip(split.digests, split.pictures, strict=True)]
        parts = []
        with reporter.bar("predict", len(split)) as bar:
            for keys, pixels in batches(decoder.in_turns(items, 256), 64):
                if keys:
                    parts.append(asker.probabilities(torch.from_numpy(pixels)))
                bar.advance(len(keys))
        kept, skipped = _apart(split, decoder.broken)
        if not parts:
            first = f" (first: {skipped[0][0]}, {skipped[0][1]})" if skipped else ""
            raise UsageError(f"{images.source}: not one of {len(split)} images can be decoded"
                             f"{first}")  # fmt: skip
        chances = torch.cat(parts)
        _check_chances(chances, len(self.classes), self.folder)
        if len(chances) != len(kept):  # of two files with one content one is no longer there
            raise FeatbenchError(f"{images.source}: {skipped[0][0]} can no longer be read "
                                 f"({skipped[0][1]}); run the same command again")  # fmt: skip
        values = chances.numpy()
        return Answers(kept, values.argmax(1).astype(np.int64), values, None, skipped)


def _apart(
    split: Split, broken: dict[str, str]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the ids of images that could be decoded, and the others' with the reason."""
    pairs = list(zip(split.ids, split.digests, strict=True))
    kept = tuple(name for name, content in pairs if content not in broken)
    return kept, tuple((name, broken[content]) for name, content in pairs if content in broken)


def _check_chances(chances: torch.Tensor, classes: int, folder: Path) -> None:
    if chances.shape[1:] != (classes,) or not bool(chances.isfinite().all()):
        raise UsageError(f"{folder}: the network's answers are no probabilities of {classes} "
                         "classes")  # fmt: skip


def save_trained(folder: Path, model: FineTuneClassifier, *, run: str, dataset: Dataset) -> None:
    """Write a trained network and the way from pixels to label, ``model.json`` last.

    Parameters
    ----------
    folder : Path
        A model that is there is replaced.
    model : FineTuneClassifier
        Fitted.
    run : str
        The run's id.
    dataset : Dataset
        What it was trained on.

    Raises
    ------
    UsageError
        When something in it cannot be saved safely.
    FeatbenchError
        When the folder cannot be written.
    """
    check_classes(dataset.classes, dataset.name)
    network = model.network_
    tensors = {n: t.detach().cpu() for n, t in network.module.state_dict().items()}
    check_values(tensors, tensors, f"run {run}")
    content = tensors_to_bytes(tensors)
    if len(content) > _MOST_BYTES:
        raise UsageError(f"run {run}: its network has {len(content):,} bytes; more than "
                         f"{_MOST_BYTES:,} are not saved")  # fmt: skip
    note = TrainedNote(
        name=network.name, weights=network.weights, cut=model.cut_, outputs=model.outputs_,
        hidden=list(model.hidden), dropout=model.dropout,
        loss="mse" if model.loss == "mse" else "cross-entropy",
        preprocessing=PreprocessingNote.of(network.preprocessing),
        decoder=decoder_version(), file=FileNote.of(content),
    )  # fmt: skip
    described = {
        "format": FORMAT, "run": run, "dataset": dataset.name, "classes": list(dataset.classes),
        "trained": note.model_dump(),
        "versions": {p: version(p) for p in ("featbench", "torch", "timm")},
    }  # fmt: skip
    check_described(described, ModelFile, str(folder / DESCRIPTION))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DESCRIPTION).unlink(missing_ok=True)  # from here on an old model is none
        write_whole(folder / TENSORS, content)
        write_whole(folder / DESCRIPTION, sealed(described))
    except OSError as error:
        raise FeatbenchError(f"{folder}: cannot be written ({error.strerror})") from error


def trained_model(folder: Path, described: ModelFile) -> TrainedModel:
    """Return the model that a checked description is of; its tensors are not read yet.

    Parameters
    ----------
    folder : Path
        Where the description lies.
    described : object
        What it says.

    Raises
    ------
    UsageError
        When its values do not go together.
    """
    path, note = folder / DESCRIPTION, described.trained
    assert note is not None
    if ".." in note.name or not all(map(is_plain, (note.weights, note.cut, note.decoder))):
        raise UsageError(f"{path}: trained: is not named by plain names")
    if note.outputs != len(described.classes) and (note.outputs, len(described.classes)) != (1, 2):
        raise UsageError(f"{path}: classes: {len(described.classes)} names do not go with "
                         f"{note.outputs} outputs")  # fmt: skip
    try:
        note.preprocessing.steps()
    except UsageError as error:
        raise UsageError(f"{path}: trained: preprocessing: {error}") from error
    return TrainedModel(folder, described, note)


def weights_sha256(weights: GivenWeights) -> str:
    """Return the sha256 over all tensors, the classifier's among them."""
    return sha256_of_tensors(weights.tensors)
