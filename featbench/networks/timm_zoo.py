"""Any timm model, as ``timm/NAME``, with the preprocessing of its pretrained configuration.

timm is imported where it is used: it takes half a second that other networks need not spend.
"""

import math
from typing import Any

from torch import nn

from featbench.errors import FeatbenchError, UsageError, did_you_mean
from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built

PREFIX = "timm/"


def build_timm(name: str, weights: str) -> Built:
    """Build ``timm/NAME``.

    Parameters
    ----------
    name : str
        With the prefix ``timm/``; a pretrained tag may follow after a dot.
    weights : str
        ``default``, ``random``, or a pretrained tag of that model.
    """
    import timm
    from timm.data import resolve_model_data_config

    stem, tag = check_timm(name)
    if weights not in ("default", "random"):
        tag = weights
    tags = [full.partition(".")[2] for full in timm.list_pretrained(stem)]
    if tag and tag not in tags:
        raise UsageError(f"--weights {tag}: {PREFIX}{stem} has {', '.join(tags) or 'no weights'}")
    full = f"{stem}.{tag}" if tag else stem
    module: nn.Module
    try:
        module = timm.create_model(full, pretrained=weights != "random")
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FeatbenchError(
            f"{name}: its pretrained weights could not be loaded ({reason})\n"
            "put them into the Hugging Face cache (HF_HOME), or use --weights random|FILE"
        ) from error
    config = resolve_model_data_config(module)
    used = "random" if weights == "random" else module.pretrained_cfg.get("tag") or "default"  # type: ignore[union-attr,operator]
    return Built(module, str(used), preprocessing_of(config))


def check_timm(name: str) -> tuple[str, str]:
    """Return a model's name and tag; raise UsageError when timm has no such model.

    Parameters
    ----------
    name : str
        With the prefix ``timm/``.
    """
    import timm

    stem, _, tag = name.removeprefix(PREFIX).partition(".")
    if not timm.is_model(stem):
        hint = did_you_mean(stem, timm.list_models())
        raise UsageError(f"network {name}: timm has no such model{hint}")
    return stem, tag


def preprocessing_of(config: dict[str, Any]) -> Preprocessing:
    """Translate timm's data configuration (its eval transform) to ours."""
    _, height, width = config["input_size"]
    if config.get("crop_mode", "center") != "center":
        return Preprocessing(
            (height, width),
            None,
            config["interpolation"],
            tuple(config["mean"]),
            tuple(config["std"]),
        )
    resize: int | tuple[int, int] = math.floor(height / config["crop_pct"])
    if height != width:
        resize = (math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"]))
    return Preprocessing(
        resize,
        (height, width),
        config["interpolation"],
        tuple(config["mean"]),
        tuple(config["std"]),
    )
