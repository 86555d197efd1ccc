"""Carries out a run that trains above a cut."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from featbench.datasets import Dataset
from featbench.experiments._fit_head import fit, with_labels
from featbench.experiments._outcome import Conditions, Outcome, images_per_second
from featbench.experiments._result import Predictions
from featbench.experiments._rows import Rows
from featbench.experiments._run import Run
from featbench.experiments._start import Start
from featbench.finetune import FineTuneClassifier, hold_out
from featbench.heads import Head

_COSTS = ("extract_seconds", "extract_seconds_cold", "rows_computed", "rows_cached")


def train(
    run: Run,
    dataset: Dataset,
    features: Callable[[Dataset], Rows],
    conditions: Conditions,
    name: str,
    start: Start,
    checkpoint: Path | None,
) -> Outcome:
    """Carry out a run that trains above a cut.

    Parameters
    ----------
    run : Run
        With blocks.
    dataset : Dataset
        The images.
    features : callable
        Gives a data set's frozen features, which a warm start's head is fitted on.
    conditions : Conditions
        As the session has them.
    name : str
        The run's id.
    start : Start
        The weights to begin with.
    checkpoint : Path, optional
        A folder where training is kept while it goes on.
    """
    assert run.blocks is not None
    if run.schedule().needs_validation:
        dataset = hold_out(dataset, run.split_seed, conditions.reporter)
    head, of_head = run.warm_start_head(), dict[str, Any]()

    def fitted_head() -> Head:
        assert head is not None
        rows = features(dataset)
        of_head.update(rows.costs)
        head.set_params(**with_labels(head.get_params(deep=False), rows))
        return fit(run.warm_start or "", head, rows, conditions.reporter)

    began = time.perf_counter()
    with ExitStack() as open_now:
        board = conditions.tensorboard
        listeners = (
            () if board is None else (open_now.enter_context(board.watching(name, run.describe())),)
        )
        model = FineTuneClassifier(
            run.network, "default" if start.before else start.weights, run.blocks,
            warm_start=None if head is None else fitted_head, init_from=start.before,
            checkpoint=checkpoint, seed=run.seed, init_seed=run.init_seed,
            split_seed=run.split_seed, precision=run.precision, cache=conditions.cache,
            activation_budget=conditions.activation_budget, device=conditions.device,
            strict=conditions.strict, reporter=conditions.reporter, listeners=listeners,
            **run.settings,
        )  # fmt: skip
        model.fit(dataset)
    fitted = time.perf_counter()
    predictions = {}
    for side, split in model.inputs_.dataset.splits.items():
        if not len(split):
            continue
        chances = model.predict_proba(split)
        predictions[side] = Predictions(split.ids, split.labels, chances.argmax(1), chances)
    asked = time.perf_counter() - fitted
    images = sum(len(split) for split in model.inputs_.dataset.splits.values())
    rate = images_per_second(model.inputs_.seconds_each, 1, asked, images)
    # a warm start's features are a cost of the run; those of the same pass were to be read alone
    more = ("extract_seconds",) if model.inputs_.with_features else _COSTS
    costs = {**model.inputs_.costs}
    for cost in more:
        costs[cost] += of_head.get(cost, 0)
    fields = {
        **costs,
        "fit_seconds": fitted - began - costs["extract_seconds"] + model.seconds_before_,
        "predict_seconds": asked,
        "images_per_second": rate,
        **model.record(),
    }
    if run.schedule().refit:  # as for a head whose settings were chosen: val is in train by now
        fields["val_accuracy"] = model.history_[model.best_epoch_ - 1]["val_accuracy"]
        fields["n_val"] = model.n_val_
    return Outcome(
        model.inputs_.dataset, predictions, fields, model.history_, model.inputs_.skipped,
        tuned=model,
    )  # fmt: skip
