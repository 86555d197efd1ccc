"""Carries out a run of a head: chooses its settings where asked, fits it, asks it."""

import time
import warnings
from typing import Any

import numpy as np

from featbench.errors import UsageError
from featbench.experiments._blame import blaming
from featbench.experiments._outcome import Conditions, Outcome, images_per_second
from featbench.experiments._result import Predictions
from featbench.experiments._rows import Rows
from featbench.experiments._run import Run
from featbench.experiments._selection import choose, with_validation_rows
from featbench.extraction import FeatureSplit
from featbench.heads import Head, create_head
from featbench.machine import limit_memory
from featbench.progress import Reporter


def fit(name: str, head: Head, rows: Rows, reporter: Reporter) -> Head:
    """Fit a head; what it warns of is told, not printed.

    Parameters
    ----------
    name : str
        What people call it.
    head : Head
        Not fitted yet.
    rows : Rows
        Its training rows, and val rows where it chooses an epoch on such.
    reporter : Reporter
        Is told.

    Raises
    ------
    UsageError
        When fewer than two classes have rows, memory does not suffice, or numbers fail on such
        rows.
    """
    if len(np.unique(rows.train.y)) < 2:
        raise UsageError(f"{rows.dataset.source}: fewer than two classes have training "
                         f"{rows.dataset.item}s that can be read; add some")  # fmt: skip
    _say_memory(name, head, rows, reporter)
    known: dict[str, Any] = {"validation": _chosen_by(head, rows)}
    if (groups := rows.dataset.train.groups) is not None:
        known["groups"] = np.array(groups, dtype=object)
    with warnings.catch_warnings(record=True) as told, blaming(name, rows):
        warnings.simplefilter("always")
        fitted: Head = head.fit(rows.train.X, rows.train.y, **known)
    for text in dict.fromkeys(str(one.message).splitlines()[0] for one in told):
        reporter.say(f"{name}: {text}")
    return fitted


def with_labels(settings: dict[str, Any], rows: Rows) -> dict[str, Any]:
    """Return a head's settings with class weights by label, not by name: labels are what it knows.

    Parameters
    ----------
    settings : dict
        As asked for.
    rows : Rows
        What the head is fitted on.

    Raises
    ------
    UsageError
        For a weight of what is no class, or of a class that nothing is trained on.
    """
    weights = settings.get("class_weight")
    if not isinstance(weights, dict):
        return settings
    dataset = rows.dataset
    by_label = dataset.by_label(weights)
    for label in by_label.keys() - set(rows.train.y.tolist()):
        raise UsageError(f"{dataset.source}: class_weight: class {dataset.classes[label]!r} has no "
                         f"training {dataset.item}; leave its weight out")  # fmt: skip
    return {**settings, "class_weight": by_label}


def _say_memory(name: str, head: Head, rows: Rows, reporter: Reporter) -> None:
    """Say what the fit needs; raises UsageError where that cannot be had."""
    if need := head.memory_needed(rows.train.y):
        reporter.say(f"{name}: {need}")


def _chosen_by(head: Head, rows: Rows) -> tuple[Any, Any] | None:
    """Return the source's val rows where the head chooses an epoch on such."""
    settings = head.get_params(deep=False)
    chooses = settings.get("select") == "val_loss" or settings.get("patience") is not None
    if not chooses or "val" not in rows.parts:
        return None
    val = rows.parts["val"]
    known = np.isin(val.y, rows.train.y)  # a loss needs a label that was seen in training
    return (val.X[known], val.y[known]) if known.any() else None


def fit_head(run: Run, settings: dict[str, Any], rows: Rows, conditions: Conditions) -> Outcome:
    """Carry out a run of a head.

    Parameters
    ----------
    run : Run
        With a head.
    settings : dict
        All of the head's.
    rows : Rows
        Its features.
    conditions : Conditions
        As the session has them.
    """
    with limit_memory(conditions.memory):
        return _fit_head(run, settings, rows, conditions.reporter)


def _fit_head(run: Run, settings: dict[str, Any], rows: Rows, reporter: Reporter) -> Outcome:
    settings = with_labels(settings, rows)
    create_head(run.method, **settings).warm_up()
    began = time.perf_counter()
    found: dict[str, Any] = {}
    if run.selection.tune:
        _say_memory(run.method, create_head(run.method, **settings), rows, reporter)
        fixed = {k: settings[k] for k in (*run.settings, "random_state") if k in settings}
        with blaming(run.method, rows):
            chosen = choose(run.selection, run.method, fixed, rows, seed=run.seed,
                            split_seed=run.split_seed, reporter=reporter)  # fmt: skip
        head, rows = chosen.head, with_validation_rows(rows)
        found["settings"], found["given"] = run.chosen_settings(head)
        found["ledger"] = [run.with_names(one.record()) for one in chosen.candidates]
        found["n_val"], found["val_accuracy"] = chosen.n_val, chosen.accuracy
        found["searched"] = chosen.searched
    else:
        head = create_head(run.method, **settings)
    head = fit(run.method, head, rows, reporter)
    fitted = time.perf_counter()
    with blaming(run.method, rows):
        predictions = {
            side: _ask(head, part, len(rows.dataset.classes))
            for side, part in rows.parts.items() if len(part.y)
        }  # fmt: skip
    asked = time.perf_counter() - fitted
    trainable = head.parameter_count()
    backbone = rows.backbone_parameters
    fields = {
        **rows.costs,
        **found,
        "approximate": getattr(head.core_, "approximation", ""),
        "best_epoch": getattr(head.core_, "best_epoch_", None),
        "fit_seconds": fitted - began,
        "predict_seconds": asked,
        "images_per_second": images_per_second(
            rows.costs.get("extract_seconds_cold", 0.0),
            rows.rows_seen,
            asked,
            sum(len(part.y) for part in rows.parts.values()),
        ),
        "parameters_total": None if backbone is None else backbone + (trainable or 0),
        "parameters_trainable": trainable,
    }
    history = list(getattr(head.core_, "history_", ()))
    return Outcome(rows.dataset, predictions, fields, history, rows.skipped, head)


def _ask(head: Head, part: FeatureSplit, n_classes: int) -> Predictions:
    predicted = head.predict(part.X).astype(np.int64)

    def by_class(chances: Any) -> Any:
        spread = np.zeros((len(part.y), n_classes))
        spread[:, head.classes_] = chances
        return spread

    chances = by_class(head.predict_proba(part.X)) if hasattr(head, "predict_proba") else None
    before = by_class(head.uncalibrated_proba(part.X)) if head.calibrate is not None else None
    return Predictions(part.ids, part.y, predicted, chances, before)
