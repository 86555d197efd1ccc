"""What makes runs one method: all that was asked for but the seed."""

import hashlib
import json
from typing import Any

from featbench.experiments._result import Result

_SAME = ("fingerprint", "network", "weights", "cut", "method", "selection", "split_seed",
         "n_per_class", "precision", "approximate", "sample", "layer", "init_seed")  # fmt: skip


def method_key(result: Result) -> str:
    """Return what a run shares with the same method's runs of other seeds, as text.

    That is all that was asked for but the seed. Settings that were searched do not count, since
    each seed may try, and choose, its own. A stage that goes on from another run has that one's
    method in the place of its weights, which every seed has of its own.

    Parameters
    ----------
    result : Result
        The run.
    """
    key = {name: getattr(result, name) for name in _SAME}
    if result.init_method:
        key["weights"] = result.init_method
    asked = result.ledger[0]["settings"] if result.ledger else result.settings
    settings = {name: value for name, value in asked.items() if name not in result.searched}
    return json.dumps({**key, "settings": _without_seed(settings)}, sort_keys=True)


def name_before(before: Result, fingerprint: str, seed: int) -> str:
    """Return twelve hex characters that name the method of the run that a stage goes on from.

    Parameters
    ----------
    before : Result
        That run.
    fingerprint : str
        Of the stage's data; where ``before`` learned from the same it does not count, so that
        stages on several data sets are one method.
    seed : int
        The stage's. Another seed of ``before`` counts: two stages of one seed stay two.
    """
    same = {"fingerprint": ""} if before.fingerprint == fingerprint else {}
    key = method_key(before.model_copy(update=same))
    other = "" if before.seed == seed else f" seed {before.seed}"
    return hashlib.sha256(f"{key}{other}".encode()).hexdigest()[:12]


def _without_seed(settings: Any) -> Any:
    """Return settings without random_state, at any depth (a warm start's head has its own)."""
    if not isinstance(settings, dict):
        return settings
    return {k: _without_seed(v) for k, v in settings.items() if k != "random_state"}
