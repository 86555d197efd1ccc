"""What the command line puts in place of a recipe's data sets and pretrained networks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from featbench.datasets import Source
from featbench.errors import UsageError, did_you_mean
from featbench.networks import RUN, is_small, is_weights_file

Given = str | Sequence[str] | None


@dataclass(frozen=True)
class Instead:
    """What stands in for which data set or network.

    What is given as ``OLD=NEW`` stands in for OLD wherever a recipe has it. Data given plainly
    stand in for the recipe's own, and not for what a run names itself: that is another one on
    purpose. A network given plainly stands in for every one but our own small ones, which have no
    pretrained weights. Options behind a name (``:classes=cat,dog``, ``:size=64``) are part of the
    question, so they stay, unless what stands in has its own.

    Parameters
    ----------
    data, backbone : str, optional
        Given plainly.
    data_of, backbone_of : dict of str to str
        New ones by old ones, without options.
    """

    data: str | None = None
    backbone: str | None = None
    data_of: dict[str, str] = field(default_factory=dict)
    backbone_of: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, data: Given, backbone: Given, own_data: Iterable[str], own_networks: Iterable[str]
    ) -> Self:
        """Take what was given apart.

        Parameters
        ----------
        data, backbone : str or sequence of str, optional
            As typed.
        own_data, own_networks : iterable of str
            What the recipe has.

        Raises
        ------
        UsageError
            Where something has two that stand in for it, or the recipe has no such OLD.
        """
        places = {_place(one) for one in own_data}
        names = {_base(one) for one in own_networks}
        plain, data_of = _apart("--data", data, places, _place)
        network, backbone_of = _apart("--backbone", backbone, names, _base)
        return cls(plain, network, data_of, backbone_of)

    def source(self, text: str, *, named_by_run: bool) -> str:
        """Return what stands in for a source.

        Parameters
        ----------
        text : str
            As the recipe has it.
        named_by_run : bool
            Whether a run names it itself.
        """
        old = Source.read(text)
        given = self.data_of.get(old.place, None if named_by_run else self.data)
        if given is None:
            return text
        new = Source.read(given)
        if not new.options:
            new = replace(old, place=new.place)
        return new.place + new.options

    def network(self, name: str, weights: str) -> tuple[str, str]:
        """Return what stands in for a network and its weights.

        Weights that have a name are another network's with it: the new one gets its default.
        Random ones, a file and another run's stay.
        """
        base, colon, options = name.partition(":")
        given = self.backbone_of.get(base, None if is_small(name) else self.backbone)
        if given is None:
            return name, weights
        stays = weights == "random" or weights.startswith(RUN) or is_weights_file(weights)
        new = given if ":" in given or is_small(given) else given + colon + options
        return new, weights if stays else "default"


def _place(source: str) -> str:
    return Source.read(source).place


def _base(network: str) -> str:
    return network.partition(":")[0]


def _apart(
    option: str, given: Given, known: set[str], bare: Callable[[str], str]
) -> tuple[str | None, dict[str, str]]:
    texts = [] if given is None else [given] if isinstance(given, str) else list(given)
    plain: list[str] = []
    by_old: dict[str, str] = {}
    for text in texts:
        old, equals, new = text.partition("=")
        if not (equals and old in known):
            if "=" in bare(text) and not Path(text).exists():
                own = ", ".join(sorted(known))
                raise UsageError(f"{option} {text}: the recipe has no {old}"
                                 f"{did_you_mean(old, known)} It has: {own}")  # fmt: skip
            plain.append(text)
            continue
        if old in by_old:
            raise UsageError(f"{option} {text}: {by_old[old]} stands in for {old} already")
        by_old[old] = new
    if len(plain) > 1:
        own = ", ".join(sorted(known))
        raise UsageError(f"{option} is given twice, {plain[0]} and {plain[1]}; give one, or "
                         f"OLD=NEW for each (the recipe has {own})")  # fmt: skip
    return (plain[0] if plain else None), by_old
