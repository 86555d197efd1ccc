"""A network that was trained, made anew: what it was besides its tensors, and how it is asked."""

import itertools
from dataclasses import dataclass
from typing import Literal

import torch

from featbench.errors import UsageError
from featbench.finetune._last_layers import classifier_of, put_last_layers, width_of
from featbench.finetune._objective import Objective
from featbench.finetune._schedule import Schedule
from featbench.finetune._trainer import Trainer
from featbench.networks import Built, Network, Preprocessing, create_network, replace_classifier

_NO_HARM = 2**20  # bytes; what is wrong with a small file its own checks say better
_MOST_BYTES = 4 * 2**28  # a description from somebody's file must not fill the memory


@dataclass(frozen=True)
class Anatomy:
    """What makes a network's tensors those that were trained, and its outputs probabilities.

    Parameters
    ----------
    network : str
        As in ``create_network``.
    outputs : int
        Of the classifier: one a class, or a single one for two.
    hidden : tuple of int
        Widths of the layers put before the classifier's last one.
    dropout : float, optional
        As in ``Schedule``: it names the layers, and does nothing to predictions.
    loss : str
        ``cross-entropy`` or ``mse``: how outputs are read.
    preprocessing : Preprocessing
        Of pictures.
    """

    network: str
    outputs: int
    hidden: tuple[int, ...]
    dropout: float | None
    loss: Literal["cross-entropy", "mse"]
    preprocessing: Preprocessing

    def build(self, weights: str, most: int) -> Network:
        """Return the network, with random weights still.

        Parameters
        ----------
        weights : str
            What the weights will be called.
        most : int
            Bytes of the layers put in, and of the classifier: more is refused before room is made.

        Raises
        ------
        UsageError
            When there is no such network, or it would be larger.
        """
        found = create_network(self.network, "random")
        if not found.classifier:
            raise UsageError(f"network {self.network} has no classifier")
        sizes = [width_of(classifier_of(found)), *self.hidden, self.outputs]
        if 4 * sum(a * b for a, b in itertools.pairwise(sizes)) > min(
            max(most, _NO_HARM), _MOST_BYTES
        ):
            raise UsageError("its last layers are larger than its file, or than any that are made")
        replace_classifier(found.module, self.outputs)
        network = Network(found.name, Built(found.module, weights, found.preprocessing))
        put_last_layers(network, Schedule(hidden=self.hidden, dropout=self.dropout), 0)
        network.preprocessing = self.preprocessing  # not before: layers are found by a forward
        return network

    def asker(self, network: Network, device: torch.device) -> Trainer:
        """Return what gives probabilities for pixels, by the code that training asks with.

        Parameters
        ----------
        network : Network
            With the trained weights.
        device : torch.device
            Where to run it.
        """

        def prepare(pixels: torch.Tensor) -> torch.Tensor:
            return network.preprocessing.normalise(pixels.to(device))

        return Trainer(network.module, prepare, device, Objective(self.loss))
