"""Protocols: ways to compare that papers have agreed on, as ordinary settings of a recipe.

What a recipe says itself has the last word; ``run --dry-run`` shows what comes of it.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from featbench.errors import UsageError, did_you_mean
from featbench.experiments._recipe_tables import Recipe, RunTable


@dataclass(frozen=True)
class Protocol:
    """Settings that a name stands for.

    Parameters
    ----------
    keys : dict
        Of a ``[[run]]``.
    heads : dict
        Of a ``[[run]]`` with a head, likewise.
    set, search : dict of str to dict
        By head.
    train : dict
        Of a training.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, Any] = field(default_factory=dict)
    set: dict[str, dict[str, Any]] = field(default_factory=dict)
    search: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


_INVERSE_PENALTIES = [float(f"{1 / penalty:.6g}") for penalty in np.logspace(-6, 5, 45)]
"""Weakest penalty first: of penalties that are equally good on val, the weakest is taken."""
PROTOCOLS = {
    "linear-probe": Protocol(
        heads={"tune": "grid"},
        set={"logreg": {"preprocess": "none"}},
        search={"logreg": {"C": _INVERSE_PENALTIES}},
    ),
    "few-shot": Protocol(
        keys={"shots": [1, 2, 5, 10], "seeds": list(range(10))},
        heads={"tune": 0},
        train={"select": "last"},
    ),
    "vtab-1k": Protocol(
        keys={"n_train": 800, "n_val": 200}, heads={"tune": "grid"}, train={"refit": True}
    ),
}
"""``linear-probe``: multinomial logistic regression on the features as they are, without
augmentation. 45 L2 penalties, logarithmically spaced from 1e-6 to 1e5, on the sum of the images'
losses, so C = 1/penalty; the best on val (a fifth of train where the source has none) is fitted
anew on train and val. (Kornblith, Shlens and Le 2019, Do better ImageNet models transfer better?,
arXiv:1805.08974; Ericsson, Gouk and Hospedales 2021, How well do self-supervised models transfer?,
arXiv:2011.13377. Grid, C = 1/penalty and the choice among equals were compared with ``linear.py``
at github.com/linusericsson/ssl-transfer.) Theirs stop L-BFGS after a number of steps, ours goes to
the optimum; their images are the middle 224×224 pixels, or whole, ours are as the weights ask for;
of some data sets they report the mean accuracy over classes, ``test_balanced_accuracy``.

``few-shot``: 1, 2, 5 and 10 images a class, ten draws, settings as they are, since nothing is left
to choose them on.

``vtab-1k``: 800 images of train and 200 of val, whatever their class, to choose on; fitted anew on
all 1,000; test whole. (Zhai et al. 2019, A large-scale study of representation learning with the
visual task adaptation benchmark, arXiv:1910.04867; ``train800``, ``val200`` and ``train800val200``
as in ``tune_vtab.py`` and ``src/data`` at github.com/KMnP/vpt, which they were compared with.) Its
images are the first of train and of val, ours a draw by seed."""


def with_protocol(recipe: Recipe, table: RunTable) -> RunTable:
    """Return a ``[[run]]`` with the settings that its protocol, or the recipe's, stands for.

    Parameters
    ----------
    recipe : Recipe
        What it says stands above a protocol of its own, but not above one of the run's.
    table : RunTable
        What it says stands above both.

    Raises
    ------
    UsageError
        For a protocol that there is not.
    """
    name = table.protocol or recipe.protocol
    if name is None:
        return table
    if name not in PROTOCOLS:
        raise UsageError(f"protocol {name!r}: there is none such{did_you_mean(name, PROTOCOLS)} "
                         f"Protocols: {', '.join(PROTOCOLS)}")  # fmt: skip
    protocol = PROTOCOLS[name]
    said = set(table.model_fields_set)
    if table.protocol is None:
        said |= recipe.model_fields_set
    if "repeats" in said:
        said.add("seeds")
    trains = table.blocks is not None
    update = {**protocol.keys, **({} if trains else protocol.heads)}
    if not trains and table.head is None:
        update["head"] = "logreg"
    update = {key: value for key, value in update.items() if key not in said}
    if trains:
        own = {} if {"select", "refit"} & table.train.keys() else protocol.train
        return table.model_copy(update={**update, "train": {**own, **table.train}})
    heads = update.get("head", table.head)
    heads = heads if isinstance(heads, list) else [heads]
    for key in ("set", "search"):
        given, wanted = getattr(table, key), getattr(protocol, key)
        update[key] = {
            head: {**_not_in(wanted.get(head, {}), table, head), **given.get(head, {})}
            for head in {*given, *(wanted.keys() & set(heads))}
        }
    return table.model_copy(update=update)


def _not_in(wanted: dict[str, Any], table: RunTable, head: str) -> dict[str, Any]:
    """Leave out what the run fixes or searches itself."""
    own = {*table.set.get(head, {}), *table.search.get(head, {})}
    return {key: value for key, value in wanted.items() if key not in own}
