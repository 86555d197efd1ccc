"""Every classifier of torchvision, with the preprocessing of its weights enum."""

import contextlib
import sys
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models import Weights, WeightsEnum

from featbench.errors import FeatbenchError, UsageError, did_you_mean
from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built, register_network
from featbench.networks._weights import load_strictly

_KEYWORDS: dict[str, dict[str, Any]] = {  # an eval network has no auxiliary heads
    "googlenet": {"aux_logits": False, "init_weights": False, "transform_input": True},
    "inception_v3": {"aux_logits": False, "init_weights": False, "transform_input": True},
}


def _build(name: str, weights: str) -> Built:
    enum: type[WeightsEnum] = models.get_model_weights(name)
    chosen = _choose(name, enum, weights)
    categories = chosen.meta["categories"]
    keywords = dict(_KEYWORDS.get(name, {}))
    if name.startswith("vit_"):  # its position embedding is made for one image size
        keywords["image_size"] = chosen.meta["min_size"][0]
    module: nn.Module = models.get_model(
        name, weights=None, num_classes=len(categories), **keywords
    )
    if weights != "random":
        load_strictly(module, _fetch(name, chosen), f"{name} {chosen.name}")
    return Built(module, weights if weights == "random" else chosen.name, _preprocessing(chosen))


def _choose(name: str, enum: type[WeightsEnum], weights: str) -> Any:
    if weights in ("default", "random"):
        return enum["DEFAULT"]
    wanted = weights.rpartition(".")[2]
    if wanted not in enum.__members__:
        raise UsageError(
            f"--weights {weights}: {name} has no such weights"
            f"{did_you_mean(wanted, enum.__members__)} "
            f"(default, random, a file, or {', '.join(enum.__members__)})"
        )
    return enum[wanted]


def _fetch(name: str, chosen: Any) -> dict[str, torch.Tensor]:
    """Return the weights' tensors, downloaded to torchvision's folder where missing."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torch prints "Downloading: …" to stdout
            tensors: dict[str, torch.Tensor] = chosen.get_state_dict(
                progress=sys.stderr.isatty(), check_hash=True, weights_only=True
            )
        return tensors
    except Exception as error:  # the network, a checksum, a damaged file
        file = f"{torch.hub.get_dir()}/checkpoints/{chosen.url.rpartition('/')[2]}"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FeatbenchError(
            f"{name}: its weights {chosen.name} could not be loaded from {file} ({reason})\n"
            f"put {chosen.url} there (TORCH_HOME moves the folder), or use --weights random|FILE"
        ) from error


def _preprocessing(chosen: Weights) -> Preprocessing:
    preset = chosen.transforms()
    (short_side,), (crop,) = preset.resize_size, preset.crop_size
    return Preprocessing(
        short_side, (crop, crop), preset.interpolation.value, tuple(preset.mean), tuple(preset.std)
    )


for _name in models.list_models(module=models):
    register_network(_name)(_build)
