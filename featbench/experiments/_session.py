"""Carries runs out: opens data, networks and features once, and makes a Result of each run."""

import datetime
import importlib.metadata
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featbench.datasets import Dataset, load_dataset, use_index, with_validation
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments._feature_table import NETWORK, WEIGHTS, FeatureTable
from featbench.experiments._features_file import load_features
from featbench.experiments._metrics import measure
from featbench.experiments._model import FOLDER as MODEL
from featbench.experiments._model import save_model
from featbench.experiments._result import Predictions, Result, ResultStore
from featbench.experiments._rows import Rows
from featbench.experiments._run import Run, run_id
from featbench.experiments._selection import choose, with_validation_rows
from featbench.extraction import Features, FeatureSplit, choose_device, extract
from featbench.finetune import FineTuneClassifier
from featbench.heads import Head, create_head
from featbench.machine import limit_memory, peak_memory_mb
from featbench.networks import Network, create_network, is_weights_file
from featbench.progress import SILENT, Reporter

_VERSIONS_OF = ("featbench", "torch", "torchvision", "timm", "scikit-learn", "numpy", "pillow")


@dataclass(frozen=True)
class _Outcome:
    """What a method gave: the data it saw, predictions by split, and the Result fields it knows."""

    dataset: Dataset
    predictions: dict[str, Predictions]
    fields: dict[str, Any]
    history: list[dict[str, Any]]
    skipped: tuple[tuple[str, str], ...]
    head: Head | None = None


class Session:
    """Runs share what they have in common: a data set, a network and its features are made once.

    Parameters
    ----------
    cache, results : path
        The folders of the feature store and of the results.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    strict, activation_budget
        As in ``FineTuneClassifier``; the budget is part of no run's identity.
    memory : int, optional
        Bytes that one big matrix of a head may take; by default half of what is free.
    command : str
        What the user typed, for the results' provenance.
    reporter : Reporter
        Is told of progress.
    """

    def __init__(
        self,
        *,
        cache: str | Path = "cache",
        results: str | Path = "results",
        device: str = "auto",
        strict: bool = False,
        memory: int | None = None,
        activation_budget: int | None = None,
        command: str = "",
        reporter: Reporter = SILENT,
    ) -> None:
        self.store = ResultStore(Path(results))
        self.skipped: dict[str, str] = {}
        self.problems: dict[str, None] = {}
        self._cache, self._device, self._strict = str(cache), device, strict
        self._command, self._reporter, self._memory = command, reporter, memory
        self._activation_budget = activation_budget
        self._datasets: dict[tuple[Any, ...], Dataset] = {}
        self._network: tuple[tuple[Any, ...], Network] | None = None
        self._features: tuple[tuple[Any, ...], Features] | None = None

    def dataset(self, run: Run) -> Dataset:
        """Open the run's data set, or table of features; say once what was decided about it."""
        names = tuple(sorted(run.columns.items()))
        key = (run.data, run.features, names, run.limit, run.split_seed)
        if key not in self._datasets:
            dataset = self._open(run)
            for line in (*dataset.notices, *dataset.problems):
                self._reporter.say(f"{dataset.name}: {line}")
            use_index(dataset, self._cache)
            if leaked := len(set(dataset.train.digests) & set(dataset.test.digests)):
                self._reporter.say(
                    f"{dataset.name}: train and test share {leaked} {dataset.item}s: test accuracy "
                    f"is too high{'' if run.features else '; see featbench data check'}"
                )
            self.problems |= dict.fromkeys(dataset.problems)
            self._datasets[key] = dataset
        return self._datasets[key]

    @staticmethod
    def _open(run: Run) -> Dataset:
        if run.features is None:
            return load_dataset(run.data, limit=run.limit, split_seed=run.split_seed)
        return load_features(
            run.features, limit=run.limit, split_seed=run.split_seed, **run.columns
        )

    def network(self, run: Run) -> Network:
        """Create the run's network; the one used last is kept."""
        key = (run.network, run.weights, run.seed)  # default weights may be random: lenet5's are
        if self._network is None or self._network[0] != key:
            self._network = key, create_network(run.network, run.weights, seed=run.seed)
        return self._network[1]

    def features(self, dataset: Dataset, network: Network, precision: str) -> Features:
        """Return the data set's features; those asked for last are kept."""
        splits = tuple(dataset.splits)
        key = (dataset.fingerprint, splits, network.name, network.sha256, precision)
        if self._features is None or self._features[0] != key:
            found = extract(
                dataset,
                network,
                precision=precision,
                cache=self._cache,
                device=self._device,
                strict=self._strict,
                reporter=self._reporter,
            )
            self._features = key, found
            return found
        hit = self._features[1]
        return replace(hit, seconds=0.0, rows_computed=0, rows_cached=hit.rows_total)

    def open_data(self, runs: Iterable[Run]) -> None:
        """Open every data set that runs will need; raises UsageError before any work is done."""
        for run in runs:
            self.dataset(run)

    def run(self, run: Run, *, again: bool = False) -> Result:
        """Carry out one run and record it, unless it is recorded already.

        Parameters
        ----------
        run : Run
            What to do.
        again : bool
            Do it although there is a finished result.

        Raises
        ------
        FeatbenchError
            When something in the run cannot be done.
        """
        settings, given = run.settle_settings()  # first: a misspelt head is found before any work
        dataset = self.dataset(run)
        origin, weights_sha256 = self._origin(run, dataset)
        identity: dict[str, Any] = {
            **self._asked(run),
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            **origin,
            "settings": settings,
        }
        name = run_id(identity, weights_sha256)
        known = self.store.find(name)
        if known is not None and known.approximate and not again:
            self._reporter.say(f"run {name} was approximate ({known.approximate}): done again, "
                               "exactly where memory allows it now")  # fmt: skip
        elif known is not None and not again:
            self._reporter.say(f"run {name} is finished already: nothing to do")
            return known
        if run.head:
            rows = self._rows(run, dataset)
            with limit_memory(self._memory):
                outcome = self._fit_head(run, settings, rows)
        else:
            outcome = self._train(run, dataset)
        self.skipped |= dict(outcome.skipped)
        if "test" not in outcome.predictions:
            raise UsageError(f"{dataset.source}: no test image is left to measure on; add images")
        splits = outcome.dataset.splits
        metrics: dict[str, Any] = {}
        for split, predictions in outcome.predictions.items():
            metrics |= measure(predictions, split)
        published = run.published or {}
        fields = {
            **identity,
            "given": given,
            "n_train": len(splits["train"]),
            "n_val": len(splits.get("val", ())),
            "n_test": len(splits["test"]),
            "n_classes": len(dataset.classes),
            "n_skipped": len(outcome.skipped),
            "published_test_accuracy": published.get("test_accuracy"),
            "published_source": published.get("source"),
            "peak_memory_mb": peak_memory_mb(),
            **metrics,
            **self._provenance(),
            **outcome.fields,
        }
        result = Result(run_id=name, **fields)
        self._save_model(name, run, outcome)
        table = outcome.predictions["test"].as_csv(dataset.classes)
        self.store.save(result, table, outcome.history, outcome.skipped)
        self.store.discard(run_id(self._asked(run), ""))  # an earlier failure of the same run
        return result

    def _save_model(self, name: str, run: Run, outcome: _Outcome) -> None:
        """Save the way from pixels to label; a head that cannot be is told, and its run stands."""
        if outcome.head is None:
            return
        features = self._features[1] if run.network and self._features else None
        try:
            save_model(
                self.store.folder / name / MODEL, outcome.head, run=name, dataset=outcome.dataset,
                network=self.network(run) if features else None, features=features, seed=run.seed,
                from_file=is_weights_file(run.weights),
            )  # fmt: skip
        except UsageError as error:
            self._reporter.say(f"run {name}: its model is not saved: {error}")

    def run_all(self, runs: Iterable[Run], *, again: bool = False) -> Iterator[Result]:
        """Carry out runs in order; a failed one becomes a Result with its error."""
        for run in runs:
            try:
                yield self.run(run, again=again)
            except Exception as error:  # whatever a network or a head raises, the rest goes on
                yield self._failed(run, error)

    def _failed(self, run: Run, error: Exception) -> Result:
        text = (
            str(error) if isinstance(error, FeatbenchError) else f"{type(error).__name__}: {error}"
        )
        asked = self._asked(run)
        result = Result(
            run_id=run_id(asked, ""), **asked, status="failed", error=text, **self._provenance()
        )
        self.store.save(result)
        return result

    def _origin(self, run: Run, dataset: Dataset) -> tuple[dict[str, Any], str]:
        """Return the identity fields of what makes the values, and its weights' sha256."""
        if isinstance(dataset, FeatureTable):  # the rows themselves are in the fingerprint
            fields = ("network", "weights", "precision")
            return {name: getattr(dataset, name) for name in fields}, ""
        network = self.network(run)
        cut = "classifier" if run.head else network.first_trained(run.blocks or 0)
        return {"weights": network.weights, "cut": cut}, network.sha256

    def _rows(self, run: Run, dataset: Dataset) -> Rows:
        """Return the rows of a data set's splits: a file's, or the frozen network's."""
        if isinstance(dataset, FeatureTable):
            return Rows.of_table(dataset)
        network = self.network(run)
        return Rows.of_network(self.features(dataset, network, run.precision), network)

    @staticmethod
    def _asked(run: Run) -> dict[str, Any]:
        """Return the identity fields as far as they are known before anything is opened."""
        return {
            "recipe": run.recipe,
            "dataset": Path(run.source).stem,
            "network": run.network or NETWORK,
            "weights": run.weights if run.network else WEIGHTS,
            "cut": "classifier" if run.head else str(run.blocks),
            "method": run.method,
            "settings": run.asked_settings,
            "selection": run.selection.describe(),
            "seed": run.seed,
            "split_seed": run.split_seed,
            "n_per_class": run.limit,
            "precision": run.precision if run.uses_frozen_values else "float32",
        }

    def _fit(self, name: str, head: Head, rows: Rows) -> Head:
        """Fit a head; what it warns of is told, not printed."""
        if len(np.unique(rows.train.y)) < 2:
            raise UsageError(f"{rows.dataset.source}: fewer than two classes have training "
                             f"{rows.dataset.item}s that can be read; add some")  # fmt: skip
        self._say_memory(name, head, rows)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            fitted: Head = head.fit(rows.train.X, rows.train.y, self._chosen_by(head, rows))
        for text in dict.fromkeys(str(one.message).splitlines()[0] for one in told):
            self._reporter.say(f"{name}: {text}")
        return fitted

    def _say_memory(self, name: str, head: Head, rows: Rows) -> None:
        """Say what the fit needs; raises UsageError where that cannot be had."""
        if need := head.memory_needed(rows.train.y):
            self._reporter.say(f"{name}: {need}")

    @staticmethod
    def _chosen_by(head: Head, rows: Rows) -> tuple[Any, Any] | None:
        """Return the source's val rows where the head chooses an epoch on such."""
        settings = head.get_params(deep=False)
        chooses = settings.get("select") == "val_loss" or settings.get("patience") is not None
        if not chooses or "val" not in rows.parts:
            return None
        val = rows.parts["val"]
        known = np.isin(val.y, rows.train.y)  # a loss needs a label that was seen in training
        return (val.X[known], val.y[known]) if known.any() else None

    def _fit_head(self, run: Run, settings: dict[str, Any], rows: Rows) -> _Outcome:
        began = time.perf_counter()
        found: dict[str, Any] = {}
        if run.selection.tune:
            self._say_memory(run.method, create_head(run.method, **settings), rows)
            fixed = {k: settings[k] for k in (*run.settings, "random_state") if k in settings}
            chosen = choose(run.selection, run.method, fixed, rows, seed=run.seed,
                            split_seed=run.split_seed, reporter=self._reporter)  # fmt: skip
            head, rows = chosen.head, with_validation_rows(rows)
            found["settings"], found["given"] = run.chosen_settings(head)
            found["ledger"] = [one.record() for one in chosen.candidates]
            found["n_val"], found["val_accuracy"] = chosen.n_val, chosen.accuracy
        else:
            head = create_head(run.method, **settings)
        head = self._fit(run.method, head, rows)
        fitted = time.perf_counter()
        predictions = {
            side: self._ask_head(head, part, len(rows.dataset.classes))
            for side, part in rows.parts.items() if len(part.y)
        }  # fmt: skip
        trainable = head.parameter_count()
        backbone = rows.backbone_parameters
        fields = {
            **rows.costs,
            **found,
            "approximate": getattr(head.core_, "approximation", ""),
            "best_epoch": getattr(head.core_, "best_epoch_", None),
            "fit_seconds": fitted - began,
            "predict_seconds": time.perf_counter() - fitted,
            "parameters_total": None if backbone is None else backbone + (trainable or 0),
            "parameters_trainable": trainable,
        }
        history = list(getattr(head.core_, "history_", ()))
        return _Outcome(rows.dataset, predictions, fields, history, rows.skipped, head)

    @staticmethod
    def _ask_head(head: Head, part: FeatureSplit, n_classes: int) -> Predictions:
        predicted = head.predict(part.X).astype(np.int64)

        def by_class(chances: Any) -> Any:
            spread = np.zeros((len(part.y), n_classes))
            spread[:, head.classes_] = chances
            return spread

        chances = by_class(head.predict_proba(part.X)) if hasattr(head, "predict_proba") else None
        before = by_class(head.uncalibrated_proba(part.X)) if head.calibrate is not None else None
        return Predictions(part.ids, part.y, predicted, chances, before)

    def _train(self, run: Run, dataset: Dataset) -> _Outcome:
        assert run.blocks is not None
        if run.schedule().needs_validation:
            dataset = with_validation(dataset, split_seed=run.split_seed)
        head, rows = run.warm_start_head(), None
        began = time.perf_counter()
        if head is not None:
            rows = self._rows(run, dataset)
            head = self._fit(run.warm_start or "", head, rows)
        model = FineTuneClassifier(
            run.network, run.weights, run.blocks, warm_start=head, seed=run.seed,
            split_seed=run.split_seed, precision=run.precision, cache=self._cache,
            activation_budget=self._activation_budget, device=self._device,
            strict=self._strict, reporter=self._reporter, **run.settings,
        ).fit(dataset)  # fmt: skip
        fitted = time.perf_counter()
        predictions = {}
        for name, split in model.inputs_.dataset.splits.items():
            if len(split):
                chances = model.predict_proba(split)
                predictions[name] = Predictions(split.ids, split.labels, chances.argmax(1), chances)
        inputs, costs = model.inputs_, dict(model.inputs_.costs)
        if rows is not None:  # a warm start's features are a cost of the run
            for name in ("extract_seconds", "extract_seconds_cold", "rows_computed", "rows_cached"):
                costs[name] += rows.costs[name]
        fields = {
            **costs,
            "fit_seconds": fitted - began - costs["extract_seconds"],
            "predict_seconds": time.perf_counter() - fitted,
            **model.record(),
        }
        return _Outcome(inputs.dataset, predictions, fields, model.history_, inputs.skipped)

    def _provenance(self) -> dict[str, Any]:
        return {
            "versions": {p: importlib.metadata.version(p) for p in _VERSIONS_OF},
            "device": str(choose_device(self._device)),
            "command": self._command,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
