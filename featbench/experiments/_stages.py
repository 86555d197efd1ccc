"""Staged training in a recipe: which run of an earlier ``[[run]]`` another one goes on from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from featbench.errors import UsageError, did_you_mean
from featbench.experiments._run import Run
from featbench.networks import RUN

_SAME = ("data", "limit", "seed", "split_seed")
_IF_SEVERAL = ("network", "precision", "blocks", "settings")


def going_on(runs: Sequence[Run], init_from: str, named: Mapping[str, Sequence[Run]]) -> list[Run]:
    """Return runs that go on from another one's weights.

    Parameters
    ----------
    runs : sequence of Run
        As one ``[[run]]`` is expanded.
    init_from : str
        The name of an earlier ``[[run]]``; or ``run:`` and how a finished run's id begins.
    named : mapping of str to sequence of Run
        What the earlier ones that have a name are expanded to.

    Raises
    ------
    UsageError
        For a name that is not known, or where no run of it, or more than one, is on the same data
        with the same network and seed.
    """
    if init_from.startswith(RUN):
        return [replace(run, init_from=init_from.removeprefix(RUN)) for run in runs]
    if init_from not in named:
        raise UsageError(
            f"init_from={init_from!r}: no earlier [[run]] has that name"
            f"{did_you_mean(init_from, named)} Names: {', '.join(named) or 'none'}; a run that "
            "is finished is init_from = 'run:ID'"
        )
    return [replace(run, init_from=_the_one(run, init_from, named[init_from])) for run in runs]


def _the_one(run: Run, name: str, candidates: Sequence[Run]) -> Run:
    left = [one for one in candidates if _base(one) == _base(run) and _agree(run, one, _SAME)]
    for field in _IF_SEVERAL:  # an axis that both have: each goes on from its own
        if len(left) > 1:
            left = [one for one in left if _agree(run, one, (field,))] or left
    if len(left) != 1:
        count = "no run" if not left else f"{len(left)} runs"
        same = ", ".join(f"{field}={getattr(run, field)}" for field in _SAME[:3])
        raise UsageError(f"init_from={name!r}: {count} of that name with network={_base(run)}, "
                         f"{same}; there must be exactly one to go on from")  # fmt: skip
    if left[0].blocks is None:
        raise UsageError(f"init_from={name!r}: fits a head, and trains no network to go on from")
    return left[0]


def _base(run: Run) -> str:
    return run.network.partition(":")[0]


def _agree(run: Run, other: Run, fields: Sequence[str]) -> bool:
    return all(getattr(run, field) == getattr(other, field) for field in fields)
