"""One flat record a run, and the folder that keeps them."""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from featbench.errors import FeatbenchError, UsageError, did_you_mean
from featbench.files import write_rows, write_whole

if TYPE_CHECKING:
    import pandas as pd

FINE_TUNE = "fine-tune"
"""The method of every run that trains above a cut."""
FROM_PIXELS = "pixels"
"""What a Result's ``cut`` says where everything trains."""
FROZEN = "classifier"
"""What a Result's ``cut`` says where the whole backbone is frozen."""
UNCALIBRATED = "confidence_uncalibrated"
"""The column of predictions.csv that only a calibrated run has."""
LOG_LOSS = "log_loss"
"""The column of predictions.csv that only runs with probabilities have."""


class Result(BaseModel):
    """What one run was, what it cost and how well it did.

    ``settings`` are all there are, ``given`` those that differ from the defaults. Where they were
    chosen, ``selection`` says how, ``searched`` names which, ``ledger`` has every candidate,
    ``val_accuracy`` is the best one's on the ``n_val`` images held out, and train is train and val
    together, on which it was fitted anew; so too of a training with ``refit``, whose ``best_epoch``
    was chosen on them. That ``val_accuracy`` is optimistic: the best of many is partly luck, and an
    mlp's number of epochs was chosen on the same images. ``init_from`` are the runs that went
    before, oldest first, each going on from the weights of the one before it, and ``init_method``
    names the last one's method, whatever its seed: stages of several seeds are one method;
    ``init_weights`` are those that the first one began with.
    ``approximate`` says what stood in for the exact method; ``layer`` is the place whose values a
    head was fitted on, where not the features; ``sample`` how many images were drawn to learn
    from, ``seed`` being the draw, of all those that ``fingerprint`` names (``n_per_class`` says
    them a class, or the limit of every split).
    Accuracies are fractions, times seconds of wall time, memory MiB. What does not apply is None:
    ``log_loss`` and ``ece`` (expected calibration error) need a method that gives probabilities;
    what ends in ``_uncalibrated`` is of the same head's ``uncalibrated_proba``, and needs one that
    calibrates. ``prefix`` says how the frozen part below a trained block was run:
    ``cached``, once for each image, or ``plain``, on every batch; it is empty where nothing is
    frozen, and for heads. ``n_train`` counts images, ``n_copies`` the copies trained on beside
    them; ``preprocessing`` is what a trained network gets, its normalisation's numbers among it.
    ``source`` is where the data lay: a name, or a whole path, and ``name`` what the recipe calls
    the run; both are no part of what a run is. ``init_seed`` is there where fresh weights had
    another seed than ``seed``.

    ``images_per_second`` is what a prediction costs in use, from file to label with nothing cached:
    1 / (e + p). e is the seconds an image of what the prediction needs below the cut, decoding
    among it (``extract_seconds_cold`` over its images, without views and a warm start's own
    features, but for those that the same pass gave); p is ``predict_seconds`` over the images of
    all splits. Both are this run's own times on its device, in its batches, and e counts choosing
    an engine and keeping the rows. None for a file's rows.

    Parameters
    ----------
    **fields : Any
        The fields below; unknown ones are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    recipe: str = ""
    dataset: str
    source: str = ""
    fingerprint: str = ""
    network: str
    weights: str
    cut: str = ""
    method: str
    settings: dict[str, Any] = {}
    given: dict[str, Any] = {}
    selection: dict[str, Any] = {}
    searched: list[str] = []
    ledger: list[dict[str, Any]] = []
    approximate: str = ""
    seed: int = 0
    split_seed: int = 0
    n_per_class: int | None = None
    init_from: list[str] = []
    layer: str = ""
    sample: dict[str, Any] = {}
    init_seed: int | None = None
    init_method: str = ""
    init_weights: str = ""
    name: str = ""

    n_train: int = 0
    n_copies: int = 0
    n_val: int = 0
    n_test: int = 0
    n_classes: int = 0
    n_skipped: int = 0

    train_accuracy: float | None = None
    train_balanced_accuracy: float | None = None
    train_macro_f1: float | None = None
    train_log_loss: float | None = None
    train_ece: float | None = None
    train_log_loss_uncalibrated: float | None = None
    train_ece_uncalibrated: float | None = None
    val_accuracy: float | None = None
    val_balanced_accuracy: float | None = None
    val_macro_f1: float | None = None
    val_log_loss: float | None = None
    val_ece: float | None = None
    val_log_loss_uncalibrated: float | None = None
    val_ece_uncalibrated: float | None = None
    test_accuracy: float | None = None
    test_balanced_accuracy: float | None = None
    test_macro_f1: float | None = None
    test_log_loss: float | None = None
    test_ece: float | None = None
    test_log_loss_uncalibrated: float | None = None
    test_ece_uncalibrated: float | None = None

    extract_seconds: float = 0.0
    extract_seconds_cold: float = 0.0
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    images_per_second: float | None = None
    rows_computed: int = 0
    rows_cached: int = 0
    peak_memory_mb: float = 0.0
    parameters_total: int | None = None
    parameters_trainable: int | None = None
    best_epoch: int | None = None
    prefix: str = ""
    preprocessing: dict[str, Any] = {}

    published_test_accuracy: float | None = None
    published_source: str | None = None

    versions: dict[str, str] = {}
    device: str = ""
    precision: str = "float32"
    engine: str = ""
    command: str = ""
    finished: str = ""
    status: str = "ok"
    error: str | None = None

    @property
    def limit(self) -> int | None:
        """At most so many images a class and split there are; a draw limits no test split."""
        return None if "shots" in self.sample else self.n_per_class

    def _repr_html_(self) -> str:
        from featbench.experiments._result_in_notebook import result_in_notebook

        return result_in_notebook(self)


@dataclass(frozen=True)
class Predictions:
    """What a method said of each image of one split.

    Parameters
    ----------
    ids : sequence of str
        The images.
    labels, predicted : ndarray of int64, shape (n,)
        Indices into the classes.
    probabilities : ndarray, shape (n, n_classes), optional
        Where the method gives them.
    uncalibrated : ndarray, shape (n, n_classes), optional
        What they were before calibration, where there was one.
    """

    ids: Sequence[str]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None = None
    uncalibrated: NDArray[np.float64] | None = None

    def losses(self, *, calibrated: bool = True) -> NDArray[np.float64] | None:
        """Return each image's log-loss in nats, (n,); None without probabilities.

        That is -log of its label's probability, of at least 1e-15.

        Parameters
        ----------
        calibrated : bool
            Or what it was before calibration.
        """
        chances = self.probabilities if calibrated else self.uncalibrated
        if chances is None:
            return None
        own = np.asarray(chances, dtype=np.float64)[np.arange(len(self.labels)), self.labels]
        losses: NDArray[np.float64] = np.abs(np.log(np.clip(own, 1e-15, 1.0)))  # abs: never -0
        return losses

    def as_csv(self, classes: Sequence[str], groups: Sequence[str] | None = None) -> str:
        """Return a table: id, label, predicted, confidence (empty without probabilities).

        Each image's log-loss, what the confidence was before calibration, and each image's group,
        are columns more where there are such.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        if any("\r" in name for name in (*self.ids, *classes, *(groups or ()))):
            # unless all is quoted, csv leaves a lone \r bare
            table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        before, losses = self.uncalibrated, self.losses()
        heading = ["id", "label", "predicted", "confidence"]
        heading += [] if losses is None else [LOG_LOSS]
        heading += [] if before is None else [UNCALIBRATED]
        table.writerow([*heading, *(["group"] if groups else [])])
        for i, name in enumerate(self.ids):
            chance = None
            if self.probabilities is not None:
                chance = self.probabilities[i, self.predicted[i]]
            table.writerow(
                [
                    name,
                    classes[self.labels[i]],
                    classes[self.predicted[i]],
                    "" if chance is None else f"{chance:.6f}",
                    *([] if losses is None else [f"{losses[i]:.6f}"]),
                    *([] if before is None else [f"{before[i, self.predicted[i]]:.6f}"]),
                    *(groups[i : i + 1] if groups else []),
                ]
            )
        return text.getvalue()


class ResultStore:
    """A folder with one folder a run: result.json, predictions.csv, history.csv, skipped.csv.

    Parameters
    ----------
    folder : Path
        Created when the first result is saved.
    leave_out : bool
        Leave out of ``all`` what cannot be read, and name it in ``unreadable``; else that raises.
    """

    def __init__(self, folder: Path, *, leave_out: bool = False) -> None:
        self.folder, self._leave_out = folder, leave_out
        self.unreadable: list[str] = []

    def save(
        self,
        result: Result,
        predictions: str | None = None,
        history: Sequence[dict[str, Any]] = (),
        skipped: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Write a run's files, result.json last: a run is there when that is.

        Raises
        ------
        FeatbenchError
            When the folder cannot be written.
        """
        folder = self.folder / result.run_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if predictions is not None:
                write_whole(
                    folder / "predictions.csv", predictions.encode("utf-8", "surrogateescape")
                )
            if history:
                import pandas as pd

                table = pd.DataFrame(history).to_csv(index=False)
                write_whole(folder / "history.csv", table.encode())
            if skipped:
                write_rows(folder / "skipped.csv", [("id", "reason"), *skipped])
            text = json.dumps(result.model_dump(), indent=1, allow_nan=False)
            write_whole(folder / "result.json", text.encode())
        except OSError as error:
            raise FeatbenchError(
                f"{folder}: cannot be written ({error.strerror}); choose another --results DIR"
            ) from error

    def all(self) -> list[Result]:
        """Return every result, oldest first.

        Raises
        ------
        FeatbenchError
            For a file that is no result, unless such are left out.
        """
        results = []
        self.unreadable = []
        for path in sorted(self.folder.glob("*/result.json")):
            try:
                results.append(self._read(path))
            except FeatbenchError as error:
                if not self._leave_out:
                    raise
                self.unreadable.append(str(error))
        return sorted(results, key=lambda r: (r.finished, r.run_id))

    def find(self, run_id: str) -> Result | None:
        """Return the result of exactly this run, if it is there."""
        path = self.folder / run_id / "result.json"
        return self._read(path) if path.is_file() else None

    def get(self, prefix: str) -> Result:
        """Return the one result whose id begins so, or that is called so.

        Parameters
        ----------
        prefix : str
            How an id begins; or ``RECIPE/NAME``, what a recipe calls one of its runs, with
            ``/SEED`` behind it where there are several.

        Raises
        ------
        UsageError
            When there is none, or more than one.
        """
        if "/" in prefix:
            matching = self.get_each(prefix)
            if len(matching) == 1:
                return matching[0]
            apart = len({r.seed for r in matching}) == len(matching)
            way = f"seed: {prefix}/{matching[0].seed}" if apart else "id"
            ids = ", ".join(r.run_id for r in matching)
            raise UsageError(f"{self.folder}: {len(matching)} runs are called {prefix}; name one "
                             f"by its {way} ({ids})")  # fmt: skip
        every = (path.parent.name for path in self.folder.glob("*/result.json"))
        found = [name for name in every if name.startswith(prefix)]
        if len(found) != 1:
            count = "no run" if not found else f"{len(found)} runs"
            raise UsageError(
                f"{self.folder}: {count} with an id that begins with {prefix!r}; "
                "see featbench results ls"
            )
        return self._read(self.folder / found[0] / "result.json")

    def get_each(self, prefix: str) -> list[Result]:
        """Return all results that are called so (its seeds); or the one whose id begins so.

        Parameters
        ----------
        prefix : str
            As ``get`` takes it.

        Raises
        ------
        UsageError
            When there is none, or more than one id begins so.
        """
        if "/" not in prefix:
            return [self.get(prefix)]
        called = [(r, f"{r.recipe}/{r.name}") for r in self.all() if r.name]
        matching = [r for r, name in called if name == prefix]
        if matching := matching or [r for r, name in called if f"{name}/{r.seed}" == prefix]:
            return matching
        known = sorted({name for _, name in called})
        raise UsageError(
            f"{self.folder}: no run is called {prefix}{did_you_mean(prefix, known)} "
            f"Names: {', '.join(known) or 'none'}"
        )

    def remove(self, prefix: str) -> Result:
        """Delete one run's folder; return what it was."""
        result = self.get(prefix)
        shutil.rmtree(self.folder / result.run_id)
        return result

    def discard(self, run_id: str) -> None:
        """Delete the folder of exactly this run, if there is one."""
        shutil.rmtree(self.folder / run_id, ignore_errors=True)

    def history(self, result: Result) -> "pd.DataFrame | None":
        """Return the training history, a row an epoch, where there is one."""
        import pandas as pd

        path = self.folder / result.run_id / "history.csv"
        return pd.read_csv(path) if path.is_file() else None

    @staticmethod
    def _read(path: Path) -> Result:
        try:
            # pydantic's own reading refuses bytes of a file's name that are no UTF-8
            return Result.model_validate(json.loads(path.read_bytes()))
        except (ValidationError, ValueError, OSError) as error:
            raise FeatbenchError(
                f"{path}: is not a result of this version "
                f"({str(error).splitlines()[0]}); remove its folder"
            ) from error
