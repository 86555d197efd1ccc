"""Weights: read from files without running code from them, and named by their sha256."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from featbench.errors import UsageError
from featbench.networks._preprocessing import Preprocessing

RUN = "run:"
"""How weights that a run has trained are named; the run's id follows."""
_OLD_DENSENET = re.compile(r"\.(norm|relu|conv)\.([12])\.")


@dataclass(frozen=True, eq=False)
class GivenWeights:
    """Weights in hand, for ``create_network``: a finished run's, say.

    Parameters
    ----------
    name : str
        What they are called: ``run:0123456789ab``.
    network : str
        The name of the network whose they are.
    tensors : mapping of str to Tensor
        Its whole ``state_dict``, layers put before the classifier among it.
    preprocessing : Preprocessing
        What belongs to them.
    outputs : int
        Of its classifier.
    """

    name: str
    network: str
    tensors: Mapping[str, torch.Tensor] = field(repr=False)
    preprocessing: Preprocessing
    outputs: int

    def __str__(self) -> str:
        return self.name

    def load_body(self, module: nn.Module, classifier: str, network: str) -> None:
        """Load all but the classifier into a network of the same name; its options may differ.

        Parameters
        ----------
        module : Module
            Filled in place.
        classifier : str
            The name of its classifier, which keeps its own weights.
        network : str
            The network's name.

        Raises
        ------
        UsageError
            When it is another network, or a name or shape differs.
        """
        if network.partition(":")[0] != self.network.partition(":")[0]:
            raise UsageError(f"weights {self.name}: are of {self.network}, not of {network}; use "
                             f"--backbone {self.network}")  # fmt: skip
        own = {n: t for n, t in module.state_dict().items() if under(n, classifier)}
        body = {n: t for n, t in self.tensors.items() if not under(n, classifier)}
        load_strictly(module, body | own, f"weights {self.name} of {self.network}")


def under(name: str, layer: str) -> bool:
    """Return whether a tensor of this name is in this layer; nothing is where there is none."""
    return bool(layer) and name.startswith(f"{layer}.")


def is_weights_file(weights: str) -> bool:
    """Say whether weights are asked for by a file's path and not by a name.

    Parameters
    ----------
    weights : str
        As in ``create_network``.
    """
    if weights.startswith(RUN):
        return False
    return Path(weights).suffix in (".safetensors", ".pth", ".pt") or os.sep in weights


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a .safetensors file, or of a .pth that holds nothing but tensors.

    Parameters
    ----------
    path : Path
        The file. A .pth is read with ``weights_only=True``: no code in it runs.

    Raises
    ------
    UsageError
        When the file does not exist, or is not such a file.
    """
    if not path.is_file():
        raise UsageError(f"--weights {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise anything on hostile bytes
        raise UsageError(
            f"--weights {path}: cannot be read as plain tensors ({str(error).splitlines()[0]}); "
            "save the network's state_dict() as .safetensors"
        ) from error
    if isinstance(loaded, Mapping):
        loaded = next(
            (loaded[k] for k in ("state_dict", "model") if isinstance(loaded.get(k), Mapping)),
            loaded,
        )
    tensors = dict(loaded) if isinstance(loaded, Mapping) else {}
    if not tensors or not all(isinstance(t, torch.Tensor) for t in tensors.values()):
        raise UsageError(f"--weights {path}: holds no state_dict (a mapping of names to tensors)")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def load_strictly(module: nn.Module, tensors: Mapping[str, torch.Tensor], what: str) -> None:
    """Load every tensor by name; names of old DenseNet files and auxiliary heads are understood.

    Parameters
    ----------
    module : Module
        Filled in place.
    tensors : mapping of str to Tensor
        What a weights file holds.
    what : str
        The option or file, for the error.

    Raises
    ------
    UsageError
        When a name or shape differs.
    """
    own = module.state_dict()
    named = {
        name if name in own else _OLD_DENSENET.sub(r".\1\2.", name): tensor
        for name, tensor in tensors.items()
    }
    named = {n: t for n, t in named.items() if n in own or not n.lower().startswith("aux")}
    missing, unexpected = sorted(own.keys() - named.keys()), sorted(named.keys() - own.keys())
    missing = [n for n in missing if not n.endswith("num_batches_tracked")]
    shapes = [n for n in own.keys() & named.keys() if own[n].shape != named[n].shape]
    if missing or unexpected or shapes:
        first = (missing or unexpected or sorted(shapes))[0]
        raise UsageError(
            f"{what}: does not fit the network: {len(missing)} tensors missing, {len(unexpected)} "
            f"not known, {len(shapes)} of another shape (first: {first})"
        )
    module.load_state_dict(named, strict=False)


def sha256_of_tensors(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes, in sorted order of the names."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return whole.hexdigest()
