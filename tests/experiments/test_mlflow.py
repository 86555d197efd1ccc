"""MLflow is sent each run once: what was asked, what was measured, each epoch, the files."""

import csv
import importlib.util
import json
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from featbench.errors import FeatbenchError, UsageError
from featbench.experiments import MLflow, ResultStore, Session
from tests.conftest import Said, make_photos
from tests.report.test_report import result

Command = Callable[..., Said]
TRAIN = ("finetune", "--backbone", "lenet5", "--blocks", "all", "--epochs", 2, "--json")
HOSTILE = "=cmd() <script>x</script>\n' OR 1=1 --\udcff"


@dataclass
class Metric:
    """As MLflow's."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class Param:
    """As MLflow's."""

    key: str
    value: str


@dataclass
class FakeRun:
    """A run as MLflow gives it back, and what it was sent."""

    experiment: str
    name: str
    start: int
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    end: tuple[str, int] | None = None
    deleted: bool = False

    @property
    def info(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(run_id=str(id(self)))

    @property
    def data(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(tags=self.tags)


class Client:
    """Stands for ``mlflow.MlflowClient``: the calls and the limits that the real one has."""

    experiments: ClassVar[dict[str, str | None]] = {}
    runs: ClassVar[list[FakeRun]] = []
    broken: ClassVar[set[str]] = set()
    uris: ClassVar[list[str]] = []

    def __init__(self, tracking_uri: str) -> None:
        self.uris.append(tracking_uri)
        self._ask("connect")

    def _ask(self, what: str) -> None:
        if what in self.broken:
            raise OSError(f"cannot {what}\nfor a reason")

    def _run(self, run_id: str) -> FakeRun:
        (found,) = (run for run in self.runs if run.info.run_id == run_id)
        return found

    def search_experiments(self, max_results: int) -> list[str]:
        return list(self.experiments)[:max_results]

    def get_experiment_by_name(self, name: str) -> Any:
        return types.SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        assert 0 < len(name) <= 500
        self.experiments[name] = artifact_location
        return name

    def search_runs(self, experiment_ids: list[str], filter_string: str) -> list[FakeRun]:
        tag, _, value = filter_string.partition(" = ")
        name = tag.removeprefix("tags.").strip("`")
        return [run for run in self.runs if run.experiment in experiment_ids and not run.deleted
                and run.tags[name] == value.strip("'")]  # fmt: skip

    def delete_run(self, run_id: str) -> None:
        self._run(run_id).deleted = True

    def create_run(
        self, experiment_id: str, start_time: int, tags: dict[str, str], run_name: str
    ) -> FakeRun:
        for text in (*tags.values(), run_name):
            text.encode()
        self.runs.append(FakeRun(experiment_id, run_name, start_time, tags))
        return self.runs[-1]

    def log_batch(
        self, run_id: str, metrics: list[Metric] | None = None, params: list[Param] | None = None
    ) -> None:
        assert len(params or []) <= 100
        assert len(metrics or []) <= 1000
        for param in params or []:
            assert len(param.value.encode()) <= 6000
            assert param.key.replace("_", "").replace(".", "").isalnum()
            assert param.key not in self._run(run_id).params
            self._run(run_id).params[param.key] = param.value
        self._run(run_id).metrics += metrics or []

    def log_artifact(self, run_id: str, path: str) -> None:
        self._ask("upload")
        self._run(run_id).files[Path(path).name] = Path(path).read_text()

    def set_terminated(self, run_id: str, status: str, end: int) -> None:
        print(f"View run at {run_id}")  # as the real one does: no part of what a command answers
        self._run(run_id).end = status, end

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self._run(run_id).tags[name] = value


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[FakeRun]:
    """The runs that a stand-in for the package has been sent."""
    package, entities = types.ModuleType("mlflow"), types.ModuleType("mlflow.entities")
    package.MlflowClient = Client  # type: ignore[attr-defined]
    entities.Metric, entities.Param = Metric, Param  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    for name, empty in (("experiments", {}), ("runs", []), ("broken", set()), ("uris", [])):
        monkeypatch.setattr(Client, name, empty)
    for name in ("DISABLE_TELEMETRY", "SUPPRESS_PRINTING_URL_TO_STDOUT"):
        monkeypatch.setenv(f"MLFLOW_{name}", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return Client.runs


@pytest.fixture
def photos_of_two(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "two", {"train": 3, "val": 2, "test": 2})


@pytest.fixture
def recipe(photos_of_two: Path, tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(
        f"data = {json.dumps(str(photos_of_two))}\n[[run]]\nnetwork = 'lenet5'\n"
        "head = ['knn', 'ridge']\n[[run]]\nnetwork = 'lenet5'\nblocks = 'fc9'\n"
    )
    return path


def test_a_training_is_sent_with_settings_measures_epochs_and_files(
    sent: list[FakeRun], featbench: Command, photos_of_two: Path, tmp_path: Path
) -> None:
    result = json.loads(featbench(*TRAIN, "--data", photos_of_two, "--mlflow", "http://x").out)
    (run,) = sent
    assert Client.uris == ["http://x"]
    assert Client.experiments == {"featbench": None}
    assert run.name == "fine-tune on lenet5 (random)"
    assert run.tags["featbench.run_id"] == result["run_id"]
    assert run.tags["featbench.finished"] == result["finished"]
    assert "featbench.recipe" not in run.tags
    assert run.params["settings.epochs"] == "2"
    assert run.params["cut"] == "pixels"
    assert run.params["n_train"] == "9"
    whole = {m.key: m.value for m in run.metrics if m.step == 0}
    assert whole["test_accuracy"] == result["test_accuracy"]
    assert whole["fit_seconds"] == result["fit_seconds"]
    assert whole["parameters_trainable"] == result["parameters_trainable"]
    folder = tmp_path / "results" / result["run_id"]
    rows = list(csv.DictReader((folder / "history.csv").read_text().splitlines()))
    told = {(m.key, m.step): m.value for m in run.metrics if m.step}
    for row in rows:
        assert told["loss/val", int(row["epoch"])] == float(row["val_loss"])
        assert told["accuracy/train", int(row["epoch"])] == float(row["train_accuracy"])
    assert len(told) == 2 * 6
    assert run.files == {path.name: path.read_text() for path in folder.glob("*.*")}
    assert set(run.files) == {"result.json", "predictions.csv", "history.csv"}
    assert run.end is not None
    assert run.end[0] == "FINISHED"
    assert run.start <= min(m.timestamp for m in run.metrics) <= run.end[1]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_recipe_sends_each_run_once_failed_ones_too(
    jobs: int, sent: list[FakeRun], featbench: Command, recipe: Path, tmp_path: Path
) -> None:
    command = ("run", recipe, "--mlflow", tmp_path / "board", "--jobs", jobs)
    assert featbench(*command).code == 3
    assert Client.uris == [f"sqlite:///{(tmp_path / 'board' / 'mlflow.db').as_posix()}"]
    assert Client.experiments == {"small": (tmp_path / "board" / "artifacts").as_uri()}
    ends = {run.tags["featbench.run_id"]: run.end[0] for run in sent if run.end}
    stored = {r.run_id: r for r in ResultStore(tmp_path / "results").all()}
    assert {name: end == "FINISHED" for name, end in ends.items()} == {
        name: r.status == "ok" for name, r in stored.items()
    }
    assert len(sent) == 3
    featbench(*command)
    assert len([run for run in sent if run.end == ("FINISHED", run.end[1])]) == 2  # type: ignore[index]


def test_runs_of_before_can_be_sent_and_those_that_are_there_are_left_alone(
    sent: list[FakeRun], featbench: Command, recipe: Path, tmp_path: Path
) -> None:
    featbench("run", recipe)
    assert sent == []
    said = featbench("results", "send", "--mlflow", "board")
    assert said.out == "3 of 3 runs sent to board\n"
    one = sent[0].tags["featbench.run_id"]
    assert featbench("results", "send", one, "--mlflow", "board").out == (
        "0 of 1 runs sent to board; 1 were there\n"
    )
    assert featbench("results", "send", "--mlflow", "board", "--recipe", "x").out.startswith("0 of")
    assert len(sent) == 3


def test_what_was_sent_in_part_is_removed_and_sent_again(
    sent: list[FakeRun], featbench: Command, photos_of_two: Path
) -> None:
    Client.broken.add("upload")
    command = ("fit", "--head", "knn", "--backbone", "lenet5", "--data", photos_of_two)
    said = featbench(*command, "--mlflow", "http://x")
    assert said.code == 3, "it is recorded, but there is something to look at"
    assert "test" in said.out
    assert "was not sent to MLflow at http://x (cannot upload)" in said.err
    assert "featbench results send --mlflow http://x" in said.err
    Client.broken.clear()
    again = featbench(*command, "--mlflow", "http://x")
    assert again.code == 0
    assert [run.deleted for run in sent] == [True, False]
    featbench(*command, "--mlflow", "http://x", "--again")  # another doing of it, beside the first
    assert [run.deleted for run in sent] == [True, False, False]


def test_what_cannot_be_used_is_told_before_any_work(
    sent: list[FakeRun], featbench: Command, photos_of_two: Path, tmp_path: Path
) -> None:
    Client.broken.add("connect")
    said = featbench(*TRAIN, "--data", photos_of_two, "--mlflow", "http://x")
    assert said.code == 2
    assert "--mlflow http://x: cannot be used (cannot connect)" in said.err
    assert not (tmp_path / "results").exists()
    Client.broken.clear()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used"):
        MLflow(str(tmp_path / "file" / "below"))


def test_without_the_package_the_extra_is_named_before_any_work(
    featbench: Command, photos_of_two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for command in (
        (*TRAIN, "--data", photos_of_two),
        ("fit", "--head", "knn", "--data", photos_of_two),
    ):
        said = featbench(*command, "--mlflow", "board")
        assert said.code == 2
        assert "pip install 'featbench[mlflow]'" in said.err
    assert not (tmp_path / "board").exists()
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UsageError, match="needs the package mlflow"):
        Session(mlflow="board")


def test_where_it_is_sent_is_no_part_of_a_run(
    sent: list[FakeRun], featbench: Command, photos_of_two: Path
) -> None:
    ids = [
        json.loads(featbench(*TRAIN, "--data", photos_of_two, *more).out)["run_id"]
        for more in ((), ("--mlflow", "http://x"))
    ]
    assert ids[0] == ids[1]
    assert len(sent) == 1, "a run that is finished already is sent too"


def hostile_run(folder: Path) -> ResultStore:
    store = ResultStore(folder)
    one = result(1, dataset=HOSTILE, network=HOSTILE, recipe=HOSTILE, command=HOSTILE,
                 settings={"note": HOSTILE * 500, "none": None, "empty": ""})  # fmt: skip
    store.save(one, predictions="id,label\n1,a\n")
    return store


def test_what_names_are_made_of_does_no_harm_there(sent: list[FakeRun], tmp_path: Path) -> None:
    store = hostile_run(tmp_path)
    (one,) = store.all()
    MLflow("http://x").send(one, tmp_path / one.run_id)
    (run,) = sent
    kept = "=cmd() <script>x</script> ' OR 1=1 --⟨U+DCFF⟩"
    assert run.params["dataset"] == kept
    assert list(Client.experiments) == [kept]
    forged = one.model_copy(update={"run_id": "x' OR '1' = '1"})
    with pytest.raises(FeatbenchError, match="is no run's id"):
        MLflow("http://x").send(forged, tmp_path / one.run_id)


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
@pytest.mark.filterwarnings("ignore")  # the package's own
def test_the_real_package_keeps_what_it_is_sent(
    featbench: Command, photos_of_two: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    result = json.loads(featbench(*TRAIN, "--data", photos_of_two, "--mlflow", "board").out)
    hostile_run(tmp_path / "others")
    command = ("results", "send", "--results", "others", "--mlflow", "board")
    assert featbench(*command).out.startswith("1 of 1")
    assert featbench(*command).out.startswith("0 of 1")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'board' / 'mlflow.db'}")
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    assert len(client.search_runs([experiments["=cmd() <script>x</script> ' OR 1=1 --⟨U+DCFF⟩"]]))
    (run,) = client.search_runs([experiments["featbench"]])
    assert run.info.status == "FINISHED"
    assert run.data.params["settings.epochs"] == "2"
    assert run.data.metrics["test_accuracy"] == result["test_accuracy"]
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss/train")] == [1, 2]
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"result.json", "predictions.csv", "history.csv"}
