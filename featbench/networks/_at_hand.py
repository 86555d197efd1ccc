"""Whether a network's weights are on this machine, so that making it downloads nothing."""

from pathlib import Path

import torch
from torchvision import models

from featbench.networks._weights import RUN, is_weights_file
from featbench.networks.timm_zoo import PREFIX


def is_at_hand(name: str, weights: str) -> bool:
    """Say whether ``create_network`` needs no download; timm's own cache is not looked into.

    Parameters
    ----------
    name, weights : str
        As in ``create_network``.
    """
    if weights == "random" or weights.startswith(RUN) or is_weights_file(weights):
        return True
    if name.startswith(PREFIX):
        return False
    name = name.partition(":")[0]
    if name not in models.list_models(module=models):
        return True  # our own: bundled, installed with pip, or random
    enum = models.get_model_weights(name)
    chosen = enum.__members__.get("DEFAULT" if weights == "default" else weights.rpartition(".")[2])
    if chosen is None:
        return True  # there are none such: making it says so at once
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return (folder / str(chosen.url).rpartition("/")[2]).is_file()
