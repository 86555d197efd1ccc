"""Which parameters train, and each one's learning rate: the classifier's, a block's."""

from typing import Any

from torch import nn

from featbench.finetune._schedule import Schedule
from featbench.networks import Network


def parameter_groups(
    network: Network, at: str, schedule: Schedule
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Cut a network; return what trains, and its parameters in groups for an optimiser.

    Parameters
    ----------
    network : Network
        What lies below the cut is frozen, and in no group.
    at : str
        Where to cut, as in ``Network.cut``.
    schedule : Schedule
        Its ``lr``, ``backbone_lr`` and ``layer_decay``.

    Returns
    -------
    suffix : Module
        What lies above the cut.
    groups : list of dict
        ``params`` and ``lr``; the classifier's is the first.
    """
    depth: dict[int, int] = {}  # of a parameter: how many blocks before the classifier
    if schedule.layer_decay != 1:
        count = len(network.blocks)
        for number, block in enumerate(network.blocks):  # a later block's word is the last one
            suffix = network.cut(block.starts_at).suffix
            depth |= {id(p): count - number for p in suffix.parameters()}
    deepest = max(depth.values(), default=1)
    suffix = network.cut(at).suffix
    classifier = network.module.get_submodule(network.classifier)
    own = {id(p) for p in classifier.parameters()}
    groups: dict[int, list[nn.Parameter]] = {0: []}
    for parameter in suffix.parameters():
        place = 0 if id(parameter) in own else depth.get(id(parameter), deepest)
        groups.setdefault(place, []).append(parameter)
    backbone = schedule.lr if schedule.backbone_lr is None else schedule.backbone_lr
    return suffix, [
        {
            "params": parameters,
            "lr": schedule.lr if place == 0 else backbone * schedule.layer_decay**place,
        }
        for place, parameters in sorted(groups.items())
    ]
