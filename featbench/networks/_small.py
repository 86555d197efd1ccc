"""Our own small networks, trained from scratch: how one is registered, and its options.

Options are part of the name (``fcnet:hidden=200,100:size=32``), so whatever a name identifies (a
feature space, a run, a saved model) tells two networks apart. The name has one spelling: options
in alphabetical order, defaults left out. Networks with pretrained weights have two, ``size`` and
``resize`` (``mobilenet_v2:resize=72:size=64``): see ``_sized.py``.
"""

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from featbench.errors import UsageError, did_you_mean
from featbench.networks._registry import NETWORKS, Built, register_network
from featbench.networks._trace import weight_count

_MOST_WEIGHTS = 2**28  # 1 GiB as float32: a name from somebody's file must not fill the memory
_LARGEST = 65_536
_DEEPEST = 16

_SMALL: dict[str, dict[str, Any]] = {}  # names to their options' defaults
_PRETRAINED = {"resize": 0, "size": 0}  # 0: what the weights were trained with


def small_networks() -> tuple[str, ...]:
    """Return the names of our own networks, trained from scratch: no pretrained weights."""
    len(NETWORKS)  # sees to it that every module of this room is imported
    return tuple(_SMALL)


def is_small(name: str) -> bool:
    """Return whether a name, with options or without, is one of our own small networks."""
    return name.partition(":")[0] in small_networks()


def small_options(name: str) -> dict[str, Any]:
    """Return a network's options and their defaults; none for what is not a small network."""
    return dict(_SMALL[name.partition(":")[0]]) if is_small(name) else {}


def register_small(name: str) -> Callable[[Callable[..., Built]], Callable[..., Built]]:
    """Return a decorator that files a builder as a small network.

    Parameters
    ----------
    name : str
        The network's name.

    Returns
    -------
    callable
        Its builder's keyword arguments are the network's options. Each has a default: a bool, an
        int (1 to 65,536), a float (a share from 0 to below 1) or a tuple of int.
    """

    def file(build: Callable[..., Built]) -> Callable[..., Built]:
        def builder(asked: str, weights: str) -> Built:
            if weights not in ("default", "random"):
                raise UsageError(
                    f"--weights {weights}: {asked} has no pretrained weights; use random, or a file"
                )
            options = options_in(asked)
            if options:
                with torch.device("meta"):
                    count = weight_count(build(**options).module)
                if count > _MOST_WEIGHTS:
                    raise UsageError(
                        f"{asked}: would have {count:,} parameters; at most {_MOST_WEIGHTS:,} "
                        "are made: choose fewer hidden units or a smaller size"
                    )
            return build(**options)

        _SMALL[name] = {n: p.default for n, p in inspect.signature(build).parameters.items()}
        register_network(name)(builder)
        return build

    return file


def spell(name: str, /, **options: Any) -> str:
    """Return the one spelling of a network's name with its options.

    Parameters
    ----------
    name : str
        A network's name; it may have options in it.
    **options
        More options; they take the place of those in the name.

    Raises
    ------
    UsageError
        For options of a network that has none, an unknown option or a value that cannot be.
    """
    base = name.partition(":")[0]
    if base == name and not options:
        return name
    chosen = options_in(name) | _checked(base, options)
    defaults = _defaults(base)
    return ":".join(
        [base, *(f"{k}={_text(v)}" for k, v in sorted(chosen.items()) if v != defaults[k])]
    )


def in_line(**layers: nn.Module | None) -> nn.Sequential:
    """Return a network of named layers, one after the other; None leaves one out."""
    return nn.Sequential(OrderedDict((n, m) for n, m in layers.items() if m is not None))


def _defaults(base: str) -> dict[str, Any]:
    return _SMALL[base] if base in small_networks() else _PRETRAINED


def options_in(name: str) -> dict[str, Any]:
    """Return the options in a network's name, checked; raises UsageError as ``spell``."""
    base, *texts = name.split(":")
    pairs = [text.partition("=") for text in texts]
    for option, equals, _ in pairs:
        if not equals:
            raise UsageError(f"network {name}: {option!r} is not option=value")
    return _checked(base, {option: value for option, _, value in pairs})


def _checked(base: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return options of the types that their defaults have."""
    if not options:
        return {}
    if "/" not in base:
        NETWORKS[base]  # says which names there are
    defaults = _defaults(base)
    checked = {}
    for option, value in options.items():
        if option not in defaults:
            raise UsageError(
                f"network {base} has no option {option!r}{did_you_mean(option, defaults)} "
                f"Options: {', '.join(f'{k}={_text(v)}' for k, v in defaults.items())}"
            )
        try:
            checked[option] = _read(value, defaults[option])
        except (TypeError, ValueError) as error:
            shown = value if isinstance(value, str) else _text(value)
            raise UsageError(f"network {base}: {option}={shown[:50]}: {error}") from None
    return checked


def _read(value: Any, default: Any) -> Any:
    """Turn a value, or its text, into the default's type; raise ValueError where it is not one."""
    if isinstance(default, bool):
        texts = {"true": True, "false": False}
        found = texts.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(found, bool):
            raise ValueError("expected true or false")
        return found
    if isinstance(default, tuple):
        parts = value.split(",") if isinstance(value, str) else list(value)
        if not 1 <= len(parts) <= _DEEPEST:
            raise ValueError(f"expected 1 to {_DEEPEST} sizes, such as 200,100,50")
        return tuple(_whole(part) for part in parts)
    if isinstance(default, int):
        return 0 if default == 0 and str(value) == "0" else _whole(value)
    share = float(value)
    if not (math.isfinite(share) and 0 <= share < 1):
        raise ValueError("expected a share from 0 to below 1")
    return share


def _whole(value: Any) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or not 1 <= int(text[:9]) <= _LARGEST:
        raise ValueError(f"expected a whole number from 1 to {_LARGEST:,}")
    return int(text[:9])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
