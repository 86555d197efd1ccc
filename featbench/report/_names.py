"""What runs are called: in a table, alone, and beside others in a legend."""

import json
from collections.abc import Mapping, Sequence

from featbench.experiments import FINE_TUNE, FROM_PIXELS, FROZEN, Result

_UNTOLD = ("random_state", "warm_start", "warm_start_settings")  # named otherwise, or the seed


def method_name(result: Result) -> str:
    """Return what was done, in the field's words.

    ``frozen + logreg`` is a head on a frozen network, ``fine-tune blocks.6 from logreg (LP-FT)``
    trains from that block on and starts from a linear head (Kumar et al. 2022), ``from scratch``
    trains everything from random weights; what is random and frozen says so, ``at blocks.3`` is a
    head on values before the features, and ``stage 2`` goes on from another run, where the network
    is told by the weights that the first stage began with.
    """
    warm = result.settings.get("warm_start")
    start = f" from {warm} (LP-FT)" if warm else ""
    if result.init_from:
        start = f", stage {1 + len(result.init_from)}"
    is_random = weights_of(result) == "random"
    if result.method != FINE_TUNE:
        approximate = " (approximate)" if result.approximate else ""
        if not result.rows_computed + result.rows_cached:
            return result.method + approximate  # on a file's features
        place = f" at {result.layer}" if result.layer else ""
        return f"{'random, ' * is_random}frozen + {result.method}{place}{approximate}"
    if result.cut == FROM_PIXELS:
        if is_random:
            return f"from scratch{start}"
        return f"fine-tune all{start}"
    is_random = is_random and not result.init_from  # an earlier stage has trained what is frozen
    if result.cut == FROZEN:
        return f"{'random, ' * is_random}frozen + classifier trained{start}"
    return f"{'random, ' * is_random}fine-tune {result.cut}{start}"


def sample_name(sample: Mapping[str, int]) -> str:
    """Return how many images were drawn to learn from; nothing where all were used."""
    if "shots" in sample:
        return f"{sample['shots']:,} image{'s' * (sample['shots'] != 1)} a class"
    uses = (("n_train", "to train on"), ("n_val", "to choose on"))
    return ", ".join(f"{sample[name]:,} {use}" for name, use in uses if name in sample)


def weights_of(result: Result) -> str:
    """Return the weights that a run, or the first of the stages before it, began with."""
    return result.init_weights or result.weights


def network_name(result: Result) -> str:
    """Return the network and its weights; random ones are left to ``method_name``."""
    weights = weights_of(result)
    return result.network if weights == "random" else f"{result.network} ({weights})"


def label_of(result: Result) -> str:
    """Return a name for a run in a picture."""
    return f"{network_name(result)} · {method_name(result)}"


def labels_in_full(results: Sequence[Result]) -> list[str]:
    """Return a whole name for each run; those that are called alike say in brackets what differs.

    Parameters
    ----------
    results : sequence of Result
        Those that are told of together.
    """
    alike: dict[str, list[int]] = {}
    for place, result in enumerate(results):
        alike.setdefault(label_of(result), []).append(place)
    found: dict[int, str] = {}
    for label, places in alike.items():
        own = labels_among([results[i] for i in places]) if len(places) > 1 else [""]
        found |= {i: label + (f" ({text})" if text else "")
                  for i, text in zip(places, own, strict=True)}  # fmt: skip
    return [found[i] for i in range(len(results))]


def labels_among(results: Sequence[Result]) -> list[str]:
    """Return a name for each run that says how it differs from the others beside it.

    Parameters
    ----------
    results : sequence of Result
        Those that are shown together.

    Returns
    -------
    list of str
        What is the same in all is left out, but for a run alone; so is one network whose weights
        are random or not, which the method says. Runs that nothing but their id tells apart have
        its beginning. Where their recipe gave each a name, that, with its seed if it tells.
    """
    if len(results) == 1:
        return [label_of(results[0])]
    if own := _own_names(results):
        return own
    aspects = [_aspects(result) for result in results]
    names = dict.fromkeys(name for parts in aspects for name in parts)
    telling = [name for name in names if _tells(name, aspects)]
    pretrained = {weights_of(result) for result in results} - {"random"}
    if len({result.network for result in results}) == 1 and len(pretrained) == 1:
        telling = [name for name in telling if name != ("", "network")]
    labels = [
        " · ".join(text for name in telling if (text := parts.get(name))) for parts in aspects
    ]
    labels = [text or label_of(r) for text, r in zip(labels, results, strict=True)]
    return [
        f"{text} · run {r.run_id[:6]}" if labels.count(text) > 1 else text
        for text, r in zip(labels, results, strict=True)
    ]


def _own_names(results: Sequence[Result]) -> list[str]:
    """Return the names that one recipe has for these runs; none where they do not tell."""
    names = [result.name for result in results]
    if "" in names or len({result.recipe for result in results}) > 1:
        return []
    several = len(set(names)) < len(names)
    own = [f"{r.name} · seed {r.seed}" if several else r.name for r in results]
    return own if len(set(own)) == len(own) else []


def _tells(name: tuple[str, str], aspects: Sequence[dict[tuple[str, str], str]]) -> bool:
    """Return whether an aspect differs; a setting, among runs that have its method."""
    method, _ = name
    those = [parts for parts in aspects if not method or any(key[0] == method for key in parts)]
    return len({parts.get(name, "") for parts in those}) > 1


def _aspects(result: Result) -> dict[tuple[str, str], str]:
    """Return everything by which a run may differ, as it would be said, by method and name."""
    few = "" if result.n_per_class is None else f"{result.n_per_class} a class"
    own = result.settings.get("warm_start_settings") or {}
    start = f"start from {result.settings.get('warm_start')}"
    settings = {(result.method, k): _said(k, v) for k, v in result.settings.items()}
    settings |= {(start, k): f"start {said}" if (said := _said(k, v)) else ""
                 for k, v in own.items()}  # fmt: skip
    return {
        ("", "data"): result.dataset,
        ("", "network"): network_name(result),
        ("", "method"): method_name(result),
        **{key: said for key, said in settings.items() if key[1] not in _UNTOLD},
        ("", "chosen"): f"best of {len(result.ledger)}" if result.ledger else "",
        ("", "a class"): few,
        ("", "drawn"): "" if few else sample_name(result.sample),
        ("", "precision"): "" if result.precision == "float32" else result.precision,
        ("", "seed"): f"seed {result.seed}",
        ("", "goes on from"): f"from run {result.init_from[-1][:6]}" if result.init_from else "",
        ("", "split seed"): f"split seed {result.split_seed}",
        ("", "recipe"): f"recipe {result.recipe or 'none'}",
    }


def _said(name: str, value: object) -> str:
    """Return a setting; nothing for one that is off."""
    return "" if value in (None, False, 0, [], "") else f"{name}={plain_value(value)}"


def plain_value(value: object) -> str:
    """Return a setting's value as it is typed: a list with commas between."""
    if isinstance(value, list):
        return ",".join(plain_value(one) for one in value)
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
