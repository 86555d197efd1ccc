"""What a run is called: its identity, as far as it is known, and the id that hangs on it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featbench.datasets import Dataset, Source
from featbench.experiments._feature_table import NETWORK, WEIGHTS
from featbench.experiments._run import Run, run_id
from featbench.networks import FEATURES


@dataclass(frozen=True)
class Identity:
    """A run that was looked up.

    Parameters
    ----------
    run_id : str
        Its name.
    fields : dict
        The identity fields of its ``Result``.
    dataset : Dataset
        All of its data.
    """

    run_id: str
    fields: dict[str, Any]
    dataset: Dataset


def asked(run: Run) -> dict[str, Any]:
    """Return the identity fields as far as they are known before anything is opened."""
    before = run.init_from
    if isinstance(before, Run):
        before = failed_id(before)
    return {
        **({} if before is None else {"init_from": [before]}),
        **({} if run.layer == FEATURES else {"layer": run.layer}),
        **({} if run.init_seed is None else {"init_seed": run.init_seed}),
        **({"sample": run.sample.describe()} if run.sample.describe() else {}),
        "recipe": run.recipe,
        "dataset": Path(run.source).stem if run.features else Source.read(run.source).name,
        "network": run.network or NETWORK,
        "weights": run.weights if run.network else WEIGHTS,
        "cut": "classifier" if run.head else str(run.blocks),
        "method": run.method,
        "settings": run.asked_settings,
        "selection": run.selection.describe(),
        "seed": run.seed,
        "split_seed": run.split_seed,
        "n_per_class": run.limit if run.sample.shots is None else run.sample.shots,
        "precision": run.precision if run.uses_frozen_values else "float32",
    }


def failed_id(run: Run) -> str:
    """Return the id under which a run is recorded that failed: of what was asked for alone."""
    return run_id(asked(run), "")
