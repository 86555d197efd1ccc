"""MLflow: finished runs, with their settings, metrics, epochs and files, in its experiments."""

import contextlib
import csv
import datetime
import json
import logging
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featbench import __version__
from featbench.errors import FeatbenchError, UsageError
from featbench.experiments._result import Result
from featbench.experiments._tensorboard import EPOCH_TAGS
from featbench.markup import visible

_EXPERIMENT = "featbench"  # of runs without a recipe
_FILES = ("result.json", "predictions.csv", "history.csv", "skipped.csv")
_PARAMS = (
    "dataset", "network", "weights", "cut", "layer", "method", "seed", "split_seed", "n_per_class",
    "sample", "selection", "precision", "engine", "n_train", "n_val", "n_test", "n_classes",
)  # fmt: skip
_COUNTS = ("parameters_total", "parameters_trainable", "best_epoch", "n_skipped")
_LONGEST_NAME, _LONGEST_VALUE = 250, 5000  # what every store of MLflow's takes
_PARAMS_AT_ONCE, _METRICS_AT_ONCE = 100, 1000
_DONE = "featbench.finished"  # the tag that is set last


class MLflow:
    """Sends runs, each once: one that is there, done at the same time, is left alone.

    Parameters
    ----------
    where : str
        A tracking URI (``http://…``, ``sqlite:///…``, ``databricks``); or a folder, in which runs
        are kept in ``mlflow.db`` and their files in ``artifacts``. It is made where there is none.

    Raises
    ------
    UsageError
        When the package is not installed, or what is named cannot be used.
    """

    def __init__(self, where: str) -> None:
        # all may be set otherwise: to report its use to its makers is not ours to decide
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # seconds, not minutes
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric, Param
        except ImportError as error:
            raise UsageError(
                f"--mlflow {where}: needs the package mlflow ({error}); "
                "pip install 'featbench[mlflow]'"
            ) from error
        self._where, self._metric, self._param = where, Metric, Param
        self._experiments: dict[str, str] = {}
        try:
            uri, self._artifacts = _store(where)
            for chatty in ("alembic", "mlflow.store.db.utils"):  # of each new table
                logging.getLogger(chatty).setLevel(logging.WARNING)
            self._client: Any = MlflowClient(tracking_uri=uri)
            self._client.search_experiments(max_results=1)  # before any work
        except Exception as error:  # drivers, servers and MLflow raise anything
            raise UsageError(f"--mlflow {where}: cannot be used ({_reason(error)})") from error

    def send(self, result: Result, folder: Path) -> bool:
        """Send one run, unless it is there.

        Parameters
        ----------
        result : Result
            Finished or failed.
        folder : Path
            Its own, with its files.

        Returns
        -------
        bool
            Whether it was sent now.

        Raises
        ------
        FeatbenchError
            When it cannot be sent. What was sent of it is removed when it is sent again.
        """
        try:
            with contextlib.redirect_stdout(sys.stderr):  # ours is what a command answers
                experiment = self._experiment(result.recipe)
                if self._has(experiment, result):
                    return False
                self._send(experiment, result, folder)
        except Exception as error:  # as above
            raise FeatbenchError(
                f"run {result.run_id}: was not sent to MLflow at {self._where} ({_reason(error)}); "
                f"featbench results send --mlflow {self._where} sends what is not there"
            ) from error
        return True

    def _experiment(self, recipe: str) -> str:
        """Return the id of the experiment of a recipe's runs, made where there is none."""
        name = visible(recipe)[:_LONGEST_NAME].strip() or _EXPERIMENT
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            self._experiments[name] = (
                self._client.create_experiment(name, artifact_location=self._artifacts)
                if found is None
                else found.experiment_id
            )
        return self._experiments[name]

    def _has(self, experiment: str, result: Result) -> bool:
        """Return whether the run is there; what an interruption left of it is removed."""
        if not result.run_id.isalnum():
            raise UsageError(f"{result.run_id!r} is no run's id")
        wanted = f"tags.`featbench.run_id` = '{result.run_id}'"
        found = self._client.search_runs([experiment], wanted)
        for run in found:
            if _DONE not in run.data.tags:
                self._client.delete_run(run.info.run_id)
        return any(run.data.tags.get(_DONE) == result.finished for run in found)

    def _send(self, experiment: str, result: Result, folder: Path) -> None:
        end = _milliseconds(result.finished)
        took = result.extract_seconds + result.fit_seconds + result.predict_seconds
        tags = {
            "featbench.run_id": result.run_id,
            "featbench.recipe": result.recipe,
            "featbench.fingerprint": result.fingerprint,
            "featbench.device": result.device,
            "featbench.command": result.command,
            "featbench.error": result.error or "",
            "featbench.version": result.versions.get("featbench", __version__),
            "mlflow.source.name": "featbench",
        }
        run = self._client.create_run(
            experiment,
            start_time=end - round(1000 * took),
            tags={name: _text(value) for name, value in tags.items() if value},
            run_name=_text(f"{result.method} on {result.network} ({result.weights})"),
        ).info.run_id
        params = [self._param(name, value) for name, value in _params(result)]
        metrics = [
            self._metric(name, value, time, step)
            for name, value, time, step in (*_metrics(result, end), *_epochs(folder, end))
        ]
        for i in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(run, params=params[i : i + _PARAMS_AT_ONCE])
        for i in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(run, metrics=metrics[i : i + _METRICS_AT_ONCE])
        for name in _FILES:
            if (folder / name).is_file():
                self._client.log_artifact(run, str(folder / name))
        self._client.set_terminated(run, "FINISHED" if result.status == "ok" else "FAILED", end)
        self._client.set_tag(run, _DONE, result.finished)


def _store(where: str) -> tuple[str, str | None]:
    """Return the tracking URI, and where files are kept if that is ours to say."""
    if ":" in where or where in ("databricks", "uc"):
        return where, None
    folder = Path(where).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}", (folder / "artifacts").as_uri()


def _params(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what was asked for, by the names of ``Result``; each setting by its own."""
    for name in _PARAMS:
        if (value := getattr(result, name)) not in (None, "", {}):
            yield name, _text(value)
    for name, value in result.settings.items():
        yield f"settings.{name}"[:_LONGEST_NAME], _text(value) or "''"


def _metrics(result: Result, end: int) -> Iterator[tuple[str, float, int, int]]:
    """Yield what was measured: name, value, time and step."""
    for name, field in Result.model_fields.items():
        value = getattr(result, name)
        if value is not None and (float in _kinds(field.annotation) or name in _COUNTS):
            yield name, float(value), end, 0


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))


def _epochs(folder: Path, end: int) -> Iterator[tuple[str, float, int, int]]:
    """Yield what each epoch of a training told, at the time at which it ended, or nearly."""
    path = folder / "history.csv"
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    left = sum(float(row["seconds"]) for row in rows)
    for row in rows:
        left -= float(row["seconds"])
        for name, tag in EPOCH_TAGS.items():
            value = float(row.get(name) or "nan")
            if math.isfinite(value):
                yield tag, value, end - round(1000 * left), int(row["epoch"])


def _milliseconds(time: str) -> int:
    return round(1000 * datetime.datetime.fromisoformat(time).timestamp())


def _text(value: Any) -> str:
    """Return a value as MLflow takes it: one line, of bounded length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return visible(text)[:_LONGEST_VALUE]


def _reason(error: Exception) -> str:
    return visible((str(error).splitlines() or [type(error).__name__])[0])[:300]
