"""Carries runs out: opens data, networks and features once, and makes a Result of each run."""

import datetime
import functools
import importlib.metadata
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from featbench.datasets import Dataset, load_dataset, use_index
from featbench.errors import FeatbenchError, UsageError, in_words
from featbench.experiments._feature_table import FeatureTable
from featbench.experiments._features_file import load_features
from featbench.experiments._features_in_hand import FeaturesInHand
from featbench.experiments._fit_head import fit_head
from featbench.experiments._identity import Identity, asked, failed_id
from featbench.experiments._metrics import measure
from featbench.experiments._mlflow import MLflow
from featbench.experiments._model import save_model
from featbench.experiments._model_file import FOLDER as MODEL
from featbench.experiments._outcome import Conditions, Outcome
from featbench.experiments._project import whole_source
from featbench.experiments._result import FROM_PIXELS, Result, ResultStore
from featbench.experiments._rows import Rows
from featbench.experiments._run import Run, run_id
from featbench.experiments._start import Start, seen_before, start_of
from featbench.experiments._tensorboard import TensorBoard
from featbench.experiments._train import train
from featbench.experiments._trained_model import save_trained
from featbench.experiments._unfinished import CHECKPOINT
from featbench.extraction import choose_device
from featbench.finetune import DecodedSplits
from featbench.heads import SharedProducts
from featbench.machine import peak_memory_mb
from featbench.networks import Network, create_network, is_weights_file
from featbench.progress import SILENT, Reporter

_VERSIONS_OF = ("featbench", "torch", "torchvision", "timm", "scikit-learn", "numpy", "pillow")


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
    tensorboard : path, optional
        A folder where each epoch of a training is written down for TensorBoard.
    mlflow : str, optional
        Where each run is sent as it ends, as in ``MLflow``; one that is finished already, too.
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
        tensorboard: str | Path | None = None,
        mlflow: str | None = None,
        reporter: Reporter = SILENT,
    ) -> None:
        self.options = {
            "cache": str(cache), "results": str(results), "device": device, "strict": strict,
            "memory": memory, "activation_budget": activation_budget, "command": command,
            "tensorboard": None if tensorboard is None else str(tensorboard), "mlflow": mlflow,
        }  # fmt: skip
        self.store, self.cache = ResultStore(Path(results)), Path(cache)
        self.skipped: dict[str, str] = {}
        self.problems: dict[str, None] = {}
        self._conditions = Conditions(
            str(cache), device, strict, memory, activation_budget, reporter,
            None if tensorboard is None else TensorBoard(tensorboard),
        )  # fmt: skip
        self._mlflow = None if mlflow is None else MLflow(mlflow)
        self._command, self.reporter = command, reporter
        self._datasets: dict[tuple[Any, ...], Dataset] = {}
        self._known_data: set[int] = set()
        self._network: tuple[tuple[Any, ...], Network] | None = None
        self._features = FeaturesInHand(self._conditions, self.store.folder)
        self._products, self._pixels = SharedProducts(), DecodedSplits()
        self._data_now: Dataset | None = None
        self._start_of: tuple[tuple[Any, ...], Start] | None = None
        self._ids: dict[str, str] = {}
        self._failures: dict[str, str] = {}

    def dataset(self, run: Run) -> Dataset:
        """Open the run's data set, or table of features; say once what was decided about it."""
        dataset, is_known = self.opened(run), self._known_data
        if id(dataset) not in is_known:
            is_known.add(id(dataset))
            use_index(dataset, self.cache)
            if leaked := len(set(dataset.train.digests) & set(dataset.test.digests)):
                self.reporter.say(
                    f"{dataset.name}: train and test share {leaked} {dataset.item}s: test accuracy "
                    f"is too high{'' if run.features else '; see featbench data check'}"
                )
            self.problems |= dict.fromkeys(dataset.problems)
        run.check_classes(dataset)
        return dataset

    def opened(self, run: Run) -> Dataset:
        """Open the run's data set, and read none of its images yet."""
        names = tuple(sorted(run.columns.items()))
        key = (run.data, run.features, names, run.limit, run.split_seed)
        if key not in self._datasets:
            dataset = self._datasets[key] = self._open(run)
            for line in (*dataset.notices, *dataset.problems):
                self.reporter.say(f"{dataset.name}: {line}")
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
        before = self._before(run)  # and default weights may be random: lenet5's are
        key = (run.network, run.weights, before, run.network_seed)
        if self._network is None or self._network[0] != key:
            weights = self._start(run).weights
            self._network = key, create_network(run.network, weights, seed=run.network_seed)
        return self._network[1]

    def _before(self, run: Run) -> str | None:
        """Return the id of the run that this one goes on from; that is done first if need be."""
        if not isinstance(run.init_from, Run):
            return None if run.init_from is None else self.store.get(run.init_from).run_id
        before = run.init_from
        if before.key in self._failures:
            raise FeatbenchError("init_from: the run that it goes on from failed "
                                 f"({self._failures[before.key]})")  # fmt: skip
        return self._ids[before.key] if before.key in self._ids else self.run(before).run_id

    def _start(self, run: Run) -> Start:
        """Return what the run's network is made with; the one used last is kept."""
        key = (run.weights, self._before(run))
        if self._start_of is None or self._start_of[0] != key:
            self._start_of = key, start_of(run, key[1], self.store)
        return self._start_of[1]

    def identify(self, run: Run, settings: dict[str, Any] | None = None) -> Identity:
        """Return what a run is, by its data's content and its network's weights.

        Parameters
        ----------
        run : Run
            One that it goes on from is done first, unless that is finished.
        settings : dict, optional
            All of its settings, where they are known.
        """
        settled = run.settle_settings()[0] if settings is None else settings
        dataset = self.dataset(run)
        origin, weights_sha256 = self._origin(run, dataset)
        fields: dict[str, Any] = {
            **asked(run),
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint,
            **origin,
            "settings": settled,
        }
        if run.init_from is not None:
            start = self._start(run)
            start.check_classes(dataset.classes, dataset.name)
            fields["init_from"], weights_sha256 = list(start.chain), start.sha256
        name = self._ids[run.key] = run_id(fields, weights_sha256)
        return Identity(name, fields, dataset)

    def open_data(self, runs: Iterable[Run]) -> None:
        """Open every data set that runs will need; raises UsageError before any work is done."""
        runs = list(runs)
        for run in runs:
            self.dataset(run)
        self._features.expect(runs)

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
        found = self.identify(run, settings)
        name, dataset = found.run_id, found.dataset
        if not again and (known := self._recognised(run, name)) is not None:
            self.reporter.say(f"run {name} is finished already: nothing to do")
            return self.tell(known)
        if run.network and (seen := seen_before(run, dataset, found.fields["weights"], self.store)):
            self.reporter.say(seen)
        self._share_on(dataset)
        if run.head:
            rows = self._rows(run, dataset)
            if run.sample.describe():
                rows = rows.of_images(self._drawn(run, dataset))
            with self._products.in_use():
                outcome = fit_head(run, settings, rows, self._conditions)
        else:
            outcome = self._train(run, dataset, name, again)
        self.skipped |= dict(outcome.skipped)
        if "test" not in outcome.predictions:
            raise UsageError(f"{dataset.source}: no test image is left to measure on; add images")
        splits = outcome.dataset.splits
        metrics: dict[str, Any] = {}
        for split, predictions in outcome.predictions.items():
            metrics |= measure(predictions, split)
        stage = run.init_from is not None
        fields = {
            **found.fields,
            **run.called(),
            **(self._start(run).goes_on(dataset.fingerprint, run.seed) if stage else {}),
            "source": whole_source(run.source),
            "given": given,
            "n_train": len(splits["train"]),
            "n_val": len(splits.get("val", ())),
            "n_test": len(splits["test"]),
            "n_classes": len(dataset.classes),
            "n_skipped": len(outcome.skipped),
            "peak_memory_mb": peak_memory_mb(),
            **metrics,
            **self._provenance(),
            **outcome.fields,
        }
        result = Result(run_id=name, **fields)
        self._save_model(name, run, outcome)
        table = outcome.predictions["test"].as_csv(dataset.classes, splits["test"].groups)
        self.store.save(result, table, outcome.history, outcome.skipped)
        self._failures.pop(run.key, None)
        self._tidy(run, name)
        return self.tell(result)

    def tell(self, result: Result) -> Result:
        """Send a recorded run to MLflow where that was asked for; return it.

        One that cannot be sent is told, and is among ``problems``: it is recorded all the same.
        """
        try:
            if self._mlflow is not None:
                self._mlflow.send(result, self.store.folder / result.run_id)
        except FeatbenchError as error:
            self.problems[str(error)] = None
            self.reporter.say(str(error))
        return result

    def _recognised(self, run: Run, name: str) -> Result | None:
        """Return a finished run's result, with what the recipe says beside it now."""
        known = self._settled(name)
        if known is None:
            return None
        self._tidy(run, name)  # it may have been killed before it could
        if any(getattr(known, field) != value for field, value in run.called().items()):
            known = known.model_copy(update=run.called())
            self.store.save(known)
        return known

    def _tidy(self, run: Run, name: str) -> None:
        """Remove what a finished run leaves: its checkpoint, and an earlier failure of it."""
        shutil.rmtree(self.store.folder / name / CHECKPOINT, ignore_errors=True)
        self.store.discard(failed_id(run))

    def _settled(self, name: str) -> Result | None:
        """Return a run's result, unless there is none that can stay."""
        known = self.store.find(name)
        if known is not None and known.approximate:
            self.reporter.say(f"run {name} was approximate ({known.approximate}): done again, "
                              "exactly where memory allows it now")  # fmt: skip
            return None
        return known

    def finished(self, run: Run) -> Result | None:
        """Return a run's result where there is one, and nothing is left to do."""
        return self._recognised(run, self.identify(run).run_id)

    def fill_store(self, run: Run) -> None:
        """See to it that the store has a run's frozen features."""
        if run.network and (run.head or run.warm_start):
            self._features.fill_store(run, self.dataset(run), self.network(run))

    def _train(self, run: Run, dataset: Dataset, name: str, again: bool) -> Outcome:
        """Train above a cut; goes on where the same run was interrupted, unless ``again``."""
        kept: Path | None = self.store.folder / name / CHECKPOINT
        if again:
            shutil.rmtree(self.store.folder / name / CHECKPOINT, ignore_errors=True)
        if self.store.find(name) is not None:  # no command would ever go on from there
            kept = None
        rows = functools.partial(self._rows, run)
        with self._pixels.in_use():
            drawn, start = self._drawn(run, dataset), self._start(run)
            return train(run, drawn, rows, self._conditions, name, start, kept)

    def _drawn(self, run: Run, dataset: Dataset) -> Dataset:
        """Return the images that a run learns from, and the whole test split."""
        drawn = run.sample.draw(dataset, seed=run.seed, split_seed=run.split_seed)
        if shortage := run.sample.shortage(dataset, drawn):
            self.reporter.say(f"{dataset.name}: {shortage}: all of them are used")
        return drawn

    def _share_on(self, dataset: Dataset) -> None:
        """Give back the memory of what runs on another data set shared."""
        if dataset is not self._data_now:
            self._products.clear()
            self._pixels.clear()
        self._data_now = dataset

    def _save_model(self, name: str, run: Run, outcome: Outcome) -> None:
        """Save the way from pixels to label; what cannot be is told, and its run stands."""
        folder = self.store.folder / name / MODEL
        try:
            if outcome.tuned is not None:
                save_trained(folder, outcome.tuned, run=name, dataset=outcome.dataset)
            if outcome.head is None:
                return
            network = self.network(run) if run.network else None
            features = self._features.of(run, self.dataset(run), network) if network else None
            save_model(
                folder, outcome.head, run=name, dataset=outcome.dataset, network=network,
                features=features, seed=run.seed, from_file=is_weights_file(run.weights),
            )  # fmt: skip
        except UsageError as error:
            self.reporter.say(f"run {name}: its model is not saved: {error}")

    def run_all(self, runs: Iterable[Run], *, again: bool = False) -> Iterator[Result]:
        """Carry out runs in order; a failed one becomes a Result with its error."""
        for run in runs:
            try:
                yield self.run(run, again=again)
            except Exception as error:  # whatever a network or a head raises, the rest goes on
                yield self._failed(run, error)

    def _failed(self, run: Run, error: Exception) -> Result:
        text = self._failures[run.key] = in_words(error)
        result = Result(
            run_id=failed_id(run),
            **asked(run),
            name=run.name,
            status="failed",
            error=text,
            **self._provenance(),
        )
        self.store.save(result)
        return self.tell(result)

    def _origin(self, run: Run, dataset: Dataset) -> tuple[dict[str, Any], str]:
        """Return the identity fields of what makes the values, and its weights' sha256."""
        if isinstance(dataset, FeatureTable):  # the rows themselves are in the fingerprint
            fields = ("network", "weights", "precision")
            return {name: getattr(dataset, name) for name in fields}, ""
        network = self.network(run)
        cut = "classifier" if run.head else network.first_trained(run.blocks or 0)
        origin = {"weights": network.weights, "cut": cut}
        if cut == FROM_PIXELS and run.warm_start is None:
            origin["precision"] = "float32"  # nothing is frozen that could run in less
        return origin, network.sha256

    def _rows(self, run: Run, dataset: Dataset) -> Rows:
        """Return the rows of a data set's splits: a file's, or the frozen network's."""
        if isinstance(dataset, FeatureTable):
            return Rows.of_table(dataset)
        network = self.network(run)
        return Rows.of_network(self._features.of(run, dataset, network), network)

    def _provenance(self) -> dict[str, Any]:
        return {
            "versions": {p: importlib.metadata.version(p) for p in _VERSIONS_OF},
            "device": str(choose_device(self._conditions.device)),
            "command": self._command,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        }
