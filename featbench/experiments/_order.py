"""In which order runs are done, so that what they share is made once and need not be kept long."""

from collections.abc import Sequence
from typing import Any

from featbench.experiments._run import Run


def in_working_order(runs: Sequence[Run]) -> list[Run]:
    """Return runs with those together that share data, then a network, then frozen values.

    Otherwise they keep their order; a run that goes on from another one follows it.

    Parameters
    ----------
    runs : sequence of Run
        In the order in which they were asked for.
    """
    first: dict[tuple[Any, ...], int] = {}
    for run in runs:
        for prefix in _prefixes(run):
            first.setdefault(prefix, len(first))
    ordered: dict[str, Run] = {}
    known = {run.key: run for run in runs}

    def add(run: Run) -> None:
        if isinstance(run.init_from, Run) and run.init_from.key in known:
            add(run.init_from)
        ordered.setdefault(run.key, run)

    for run in sorted(runs, key=lambda run: [first[prefix] for prefix in _prefixes(run)]):
        add(run)
    return list(ordered.values())


def _prefixes(run: Run) -> list[tuple[Any, ...]]:
    """Return what a run shares with others, ever more of it."""
    columns = tuple(sorted(run.columns.items()))
    data = (run.data, run.features, columns, run.limit, run.split_seed)
    network = (*data, run.network, run.weights, run.network_seed)
    return [data, network, (*network, run.precision, run.blocks)]
