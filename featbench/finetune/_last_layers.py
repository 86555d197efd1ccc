"""A network's last layers: hidden ones and dropout before the classifier, and its warm start."""

import itertools
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featbench.errors import UsageError
from featbench.finetune._schedule import Schedule
from featbench.networks import FEATURES, GivenWeights, Network, under

_NO_CHANCE = -30.0


class LinearHead(Protocol):
    """A fitted head that is one linear layer on the features, to start from."""

    classes_: NDArray[np.int64]

    def linear_layer(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return weights (n_classes, d) and biases (n_classes,) on raw features."""


WarmStart = LinearHead | Callable[[], LinearHead]
"""A fitted head, or what fits one when it is called."""


def put_last_layers(network: Network, schedule: Schedule, seed: int) -> None:
    """Put hidden layers and dropout before a network's classifier, as the schedule asks.

    The network can be cut as before, since all of them take the classifier's place. Dropout that
    the network itself has before its classifier takes the new share.

    Parameters
    ----------
    network : Network
        Is changed.
    schedule : Schedule
        Its ``hidden`` and ``dropout``.
    seed : int
        Seeds the new layers' weights.
    """
    share = schedule.dropout
    own = [m for m in network.cut(FEATURES).suffix.modules() if isinstance(m, nn.Dropout)]
    if share is not None:
        for layer in own:
            layer.p = share
    before: list[nn.Module] = [nn.Dropout(share)] if share is not None and not own else []
    if not schedule.hidden and not before:
        return
    last = classifier_of(network)
    if schedule.hidden:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            widths = [width_of(last), *schedule.hidden]
            for width, size in itertools.pairwise(widths):
                before += [_layer_like(last, width, size), nn.ReLU()]
                before += [] if share is None else [nn.Dropout(share)]
            last = _layer_like(last, widths[-1], len(last.weight))
    whole = nn.Sequential(*before, last).eval()
    owner, _, leaf = network.classifier.rpartition(".")
    traced = network.trace  # of the network as it was: hidden layers are no part of its features
    setattr(network.module.get_submodule(owner), leaf, whole)
    if traced is not None:
        traced.parts[network.classifier] = whole


def classifier_of(network: Network) -> nn.Linear | nn.Conv2d:
    """Return a network's last layer, whatever was put before it."""
    layer = network.module.get_submodule(network.classifier)
    layer = layer[-1] if isinstance(layer, nn.Sequential) else layer
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    return layer


def width_of(layer: nn.Linear | nn.Conv2d) -> int:
    """Return how many numbers a layer takes."""
    return layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels


def _layer_like(layer: nn.Linear | nn.Conv2d, width: int, size: int) -> nn.Linear | nn.Conv2d:
    return nn.Linear(width, size) if isinstance(layer, nn.Linear) else nn.Conv2d(width, size, 1)


def start_from(head: WarmStart, network: Network) -> None:
    """Copy a linear head into the network's classifier; classes it never saw get no chance.

    Parameters
    ----------
    head : fitted linear head, or callable
        On the network's features; its labels are indices of classes. Or what returns such a head.
    network : Network
        Is changed; with a single output it gets the difference of the two scores.

    Raises
    ------
    UsageError
        When the head is not linear, or on other features.
    """
    head = head() if callable(head) else head
    weight, bias = head.linear_layer()
    layer = classifier_of(network)
    if layer.bias is None or weight.shape[1] != width_of(layer):
        raise UsageError(
            f"warm start: the head has {weight.shape[1]} features, {network.name}'s "
            f"classifier {width_of(layer)} (and it needs a bias)"
        )
    seen = torch.as_tensor(head.classes_, dtype=torch.int64)
    if len(layer.weight) == 1:
        weight, bias, seen = weight[1:] - weight[:1], bias[1:] - bias[:1], torch.tensor([0])
    weights = torch.zeros(layer.weight.shape, device="cpu")  # the layer may be on another device
    biases = torch.full(layer.bias.shape, float(bias.min()) + _NO_CHANCE, device="cpu")
    weights[seen] = torch.from_numpy(weight).float().reshape(-1, *layer.weight.shape[1:])
    biases[seen] = torch.from_numpy(bias).float()
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(biases)


def go_on_from(weights: GivenWeights, network: Network) -> None:
    """Copy the layers from the classifier's first on; the shares of dropout may differ.

    Parameters
    ----------
    weights : GivenWeights
        Those that the network was made with: its body is loaded already.
    network : Network
        Is changed; hidden layers were put into it.

    Raises
    ------
    UsageError
        When the hidden layers, or the number of outputs, are others.
    """
    own = _in_order(network.module.state_dict(), network.classifier)
    theirs = _in_order(weights.tensors, network.classifier)
    (*hidden, outputs), (*wanted, count) = _widths(theirs), _widths(own)
    if hidden != wanted:
        raise UsageError(f"{weights.name}: was trained with hidden={hidden}, and cannot go on with "
                         f"hidden={wanted}")  # fmt: skip
    if outputs != count:
        raise UsageError(f"{weights.name}: has {outputs} outputs, and {count} are needed: to go on "
                         "the classes, and binary, must be the same")  # fmt: skip
    with torch.no_grad():
        for here, there in zip(own, theirs, strict=True):
            if {n: t.shape for n, t in here.items()} != {n: t.shape for n, t in there.items()}:
                raise UsageError(f"{weights.name}: its classifier is not like {network.name}'s")
            for name, tensor in here.items():
                tensor.copy_(there[name])


def _in_order(
    tensors: Mapping[str, torch.Tensor], classifier: str
) -> list[dict[str, torch.Tensor]]:
    """Return the tensors of each layer from the classifier's first on, by their own names.

    A plain classifier has ``fc.weight``, one with layers before it ``fc.1.weight`` and so on.
    """
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if under(name, classifier):
            place, _, leaf = name.removeprefix(f"{classifier}.").rpartition(".")
            layers.setdefault(int(place) if place.isdecimal() else 0, {})[leaf] = tensor
    return [layers[place] for place in sorted(layers)]


def _widths(layers: list[dict[str, torch.Tensor]]) -> list[int]:
    return [len(layer["weight"]) for layer in layers if "weight" in layer] or [0]
