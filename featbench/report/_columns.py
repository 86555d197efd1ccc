"""A table's columns: what each is called, how people read it, and what programs get."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from featbench.errors import UsageError, did_you_mean
from featbench.experiments import Result
from featbench.report._names import method_name, plain_value, weights_of
from featbench.report._rows import Row

NONE = "–"


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    name : str
        As in JSON and CSV, and for ``--columns``.
    heading : str
        For readers.
    text : callable
        What a reader sees of a row, unescaped.
    values : callable
        What a program gets: plain names and values, the sort key first.
    numeric : bool
        Whether it is aligned as numbers.
    more_is_better : bool
        Whether it is sorted from the highest down.
    """

    name: str
    heading: str
    text: Callable[[Row], str]
    values: Callable[[Row], dict[str, Any]]
    numeric: bool = False
    more_is_better: bool = False


COLUMNS: dict[str, Column] = {}
"""All columns with a heading of their own, by name."""
INTERVALS: dict[str, str] = {}
"""Of them those that show a metric's interval, and of which metric."""


def _add(column: Column) -> None:
    COLUMNS[column.name] = column


def percent(value: float | None) -> str:
    """Return a fraction as per cent with one decimal."""
    return NONE if value is None else f"{100 * value:.1f}"


def short_count(value: float | None) -> str:
    """Return a count in three digits or so: 52.5k, 1.07M."""
    if value is None:
        return NONE
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.{2 if value < 10 * size else 1}f}{unit}"
    return f"{value:g}"


def _plain(name: str, heading: str, text: Callable[[Row], str], value: Callable[[Row], Any],
           *, numeric: bool = False) -> None:  # fmt: skip
    _add(Column(name, heading, text, lambda row: {name: value(row)}, numeric))


def _shared(name: str, heading: str) -> None:
    """Add a field that a method's runs share."""

    def text(row: Row) -> str:
        value = getattr(row.first, name)
        return NONE if value is None else str(value)

    _plain(name, heading, text, lambda row: getattr(row.first, name))


def _measure(
    name: str, heading: str, show: Callable[[float | None], str], *, more_is_better: bool = False
) -> None:
    """Add a metric: mean ± standard deviation over seeds."""

    def text(row: Row) -> str:
        spread = row.std(name)
        return show(row.mean(name)) + ("" if spread is None else f" ± {show(spread)}")

    def values(row: Row) -> dict[str, Any]:
        return {name: row.mean(name), f"{name}_std": row.std(name)}

    _add(Column(name, heading, text, values, True, more_is_better))


def _interval_of(metric: str, heading: str, show: Callable[[float | None], str]) -> None:
    """Add a metric's interval, which is computed where it is asked for."""
    name = f"test_{metric}_interval"

    def text(row: Row) -> str:
        found = row.interval_of(metric)
        return NONE if found is None else f"{show(found.low)}–{show(found.high)}"

    def values(row: Row) -> dict[str, Any]:
        low, high = row.interval_of(metric) or (None, None)
        return {f"test_{metric}_low": low, f"test_{metric}_high": high}

    INTERVALS[name] = metric
    _add(Column(name, heading, text, values, True))


def _cost(
    name: str, heading: str, show: Callable[[float | None], str], *, more_is_better: bool = False
) -> None:
    """Add a cost: the mean over seeds."""
    _add(Column(name, heading, lambda row: show(row.mean(name)),
                lambda row: {name: row.mean(name)}, True, more_is_better))  # fmt: skip


def _decimals(digits: int) -> Callable[[float | None], str]:
    return lambda value: NONE if value is None else f"{value:.{digits}f}"


def _method(row: Row) -> str:
    tried = max(len(run.ledger) for run in row.runs)
    return method_name(row.first) + (f" (best of {tried})" if tried else "")


def settings_of(row: Row) -> str:
    """Return the settings that were given or chosen, as they are typed."""
    return ", ".join(f"{k}={plain_value(v)}" for k, v in _given(row).items())


def _given(row: Row) -> dict[str, Any]:
    """Return the settings that were given or chosen; where seeds chose their own, all of them."""
    each = [{k: v for k, v in run.given.items() if k not in ("warm_start", "random_state")}
            for run in row.runs]  # fmt: skip
    names = dict.fromkeys(name for given in each for name in given)
    values = {name: [given.get(name) for given in each] for name in names}
    return {name: vs[0] if all(v == vs[0] for v in vs) else vs for name, vs in values.items()}


def _accuracy(row: Row) -> str:
    if row.failed:
        return "failed"
    spread = row.std("test_accuracy")
    return percent(row.accuracy) + ("" if spread is None else f" ± {percent(spread)}")


def _interval(row: Row) -> str:
    if row.interval is None:
        return NONE
    return f"{percent(row.interval.low)}–{percent(row.interval.high)}"


def letters_of(row: Row) -> str:
    """Return a row's letters as one text; apart where one has a number (a2)."""
    letters = row.standing.letters if row.standing else ()
    return (" " if any(len(letter) > 1 for letter in letters) else "").join(letters)


def _p_value(row: Row) -> str:
    if row.p_best is None:
        return NONE
    return "<0.0001" if row.p_best < 1e-4 else f"{row.p_best:.2g}"


def _log_loss(row: Row) -> str:
    mean, spread = row.mean("test_log_loss"), row.std("test_log_loss")
    before = row.mean("test_log_loss_uncalibrated")
    if mean is None:
        return NONE
    text = f"{mean:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
    return text + ("" if before is None else f" (was {before:.3f})")


def _difference(row: Row) -> float | None:
    published = row.first.published_test_accuracy
    if published is None or row.accuracy is None:
        return None
    return row.accuracy - published


def _published(row: Row) -> str:
    difference = _difference(row)
    text = percent(row.first.published_test_accuracy)
    return text if difference is None else f"{text} ({100 * difference:+.1f})"


def _extraction(row: Row) -> float | None:
    """Return the seconds without the cache; None where a file held the features."""
    from_file = row.first.cut == "classifier" and not any(
        run.rows_computed + run.rows_cached for run in row.runs
    )
    return None if from_file or row.failed else row.mean("extract_seconds_cold")


def _seconds(row: Row) -> str:
    if row.failed:
        return NONE
    return f"{_decimals(1)(_extraction(row))}+{_decimals(1)(row.mean('fit_seconds'))}"


def _parameters(row: Row) -> str:
    trained, total = row.mean("parameters_trainable"), row.mean("parameters_total")
    if trained is None and total is None:
        return NONE
    return f"{short_count(trained)}/{short_count(total)}"


_plain("dataset", "data", lambda row: row.data, lambda row: row.data)
_shared("network", "network")
_plain("weights", "weights", lambda row: weights_of(row.first), lambda row: row.first.weights)
_shared("cut", "trained from")
_add(Column("method", "method", _method,
            lambda row: {"method": row.first.method, "description": _method(row)}))  # fmt: skip
_plain("settings", "settings", settings_of, _given)
_plain("layer", "layer", lambda row: row.first.layer, lambda row: row.first.layer or None)
_shared("n_per_class", "a class")
_plain("sample", "drawn", lambda row: row.size, lambda row: row.first.sample)
_shared("split_seed", "split seed")
_shared("precision", "precision")
_plain("seeds", "seeds", lambda row: str(len(row.runs)), lambda row: row.every("seed"),
       numeric=True)  # fmt: skip
_plain("seed", "seed", lambda row: ", ".join(map(str, row.every("seed"))),
       lambda row: row.first.seed if len(row.runs) == 1 else None)  # fmt: skip
_add(Column("test_accuracy", "test %", _accuracy,
            lambda row: {"test_accuracy": row.accuracy,
                         "test_accuracy_std": row.std("test_accuracy"),
                         "best": row.best, "tied_with_best": row.tied},
            True, True))  # fmt: skip
_add(Column("interval", "interval", _interval,
            lambda row: {"interval_low": row.interval and row.interval.low,
                         "interval_high": row.interval and row.interval.high},
            True, True))  # fmt: skip
_plain("ties", "ties", letters_of, lambda row: letters_of(row) or None)
_plain("p_best", "p to best", _p_value,
       lambda row: row.p_best, numeric=True)  # fmt: skip
_plain("mean_rank", "rank", lambda row: _decimals(1)(row.rank), lambda row: row.rank,
       numeric=True)  # fmt: skip
_add(Column("published_test_accuracy", "published %", _published,
            lambda row: {"published_test_accuracy": row.first.published_test_accuracy,
                         "published_difference": _difference(row),
                         "published_source": row.first.published_source},
            True, True))  # fmt: skip
_measure("test_balanced_accuracy", "balanced %", percent, more_is_better=True)
_measure("test_macro_f1", "macro F1 %", percent, more_is_better=True)
_add(Column("test_log_loss", "log-loss", _log_loss,
            lambda row: {name: row.mean(name) for name in
                         ("test_log_loss", "test_log_loss_uncalibrated")}
            | {"test_log_loss_std": row.std("test_log_loss")}, True))  # fmt: skip
_measure("test_ece", "ECE %", percent)
_interval_of("balanced_accuracy", "balanced interval", percent)
_interval_of("macro_f1", "macro F1 interval", percent)
_interval_of("log_loss", "log-loss interval", _decimals(3))
_measure("train_accuracy", "train %", percent, more_is_better=True)
_measure("val_accuracy", "val %", percent, more_is_better=True)
_add(Column("parameters", "trained/all", _parameters,
            lambda row: {name: row.mean(name)
                         for name in ("parameters_trainable", "parameters_total")},
            True))  # fmt: skip
_add(Column("seconds", "time s", _seconds,
            lambda row: {"extract_seconds_cold": _extraction(row),
                         "fit_seconds": row.mean("fit_seconds")}, True))  # fmt: skip
_cost("images_per_second", "images/s", _decimals(0), more_is_better=True)
_cost("parameters_trainable", "trainable", lambda v: NONE if v is None else f"{v:,.0f}")
_cost("parameters_total", "parameters", lambda v: NONE if v is None else f"{v:,.0f}")
_add(Column("extract_seconds_cold", "extract s", lambda row: _decimals(1)(_extraction(row)),
            lambda row: {"extract_seconds_cold": _extraction(row)}, True))  # fmt: skip
_cost("fit_seconds", "fit s", _decimals(1))
_cost("predict_seconds", "predict s", _decimals(1))
_cost("peak_memory_mb", "MiB", _decimals(0))
_plain("runs", "runs", lambda row: " ".join(run[:6] for run in row.every("run_id")),
       lambda row: row.every("run_id"))  # fmt: skip
_plain("recipe", "recipe", lambda row: ", ".join(dict.fromkeys(row.every("recipe"))),
       lambda row: ", ".join(dict.fromkeys(row.every("recipe"))))  # fmt: skip
_shared("name", "name")
_shared("status", "status")
_shared("error", "error")

FOR_PROGRAMS = tuple(
    name for name in COLUMNS if name not in ("seed", "parameters_trainable", "parameters_total",
                                             "extract_seconds_cold", "fit_seconds", *INTERVALS)
)  # fmt: skip
"""What JSON and CSV have when no columns are chosen: everything once, but intervals that cost."""
FOR_READERS = (
    "name", "network", "weights", "method", "settings", "n_per_class", "sample", "split_seed",
    "precision",
    "seeds", "test_accuracy", "interval", "ties", "mean_rank", "published_test_accuracy",
    "test_log_loss", "parameters", "seconds", "images_per_second",
)  # fmt: skip
"""What may be shown to people when no columns are chosen."""
ALIASES = {"head": "method"}
"""Other names that ``--rows``, ``--sort`` and ``--columns`` understand."""


def column_named(name: str, option: str) -> Column:
    """Return a column by its name, by a name that it has in JSON, or by a field of ``Result``.

    Parameters
    ----------
    name : str
        As typed.
    option : str
        Which option has it, for the message.

    Raises
    ------
    UsageError
        When there is none; the nearest is named.
    """
    name = ALIASES.get(name, name)
    if name in COLUMNS:
        return COLUMNS[name]
    for column in COLUMNS.values():
        if name in parts_of(column):
            return column
    if name in Result.model_fields:
        return _field(name)
    known = [*COLUMNS, *(part for c in COLUMNS.values() for part in parts_of(c)),
             *Result.model_fields]  # fmt: skip
    hint = did_you_mean(name, known)
    raise UsageError(f"{option}: no column {name!r}{hint} Columns: {', '.join(COLUMNS)}")


def parts_of(column: Column) -> tuple[str, ...]:
    """Return the names that a column has in JSON and CSV."""
    return tuple(column.values(_ANY))


def _field(name: str) -> Column:
    """Return a column of any other field of ``Result``: its mean, or what the runs have."""
    numbers = "float" in str(Result.model_fields[name].annotation)

    def value(row: Row) -> Any:
        values = row.every(name)
        if numbers:
            return row.mean(name)
        return values[0] if all(v == values[0] for v in values) else values

    def text(row: Row) -> str:
        found = value(row)
        if found is None:
            return NONE
        if isinstance(found, float):
            return f"{found:.4g}"
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    return Column(name, name, text, lambda row: {name: value(row)}, numbers)


_ANY = Row((Result(run_id="", dataset="", network="", weights="", method=""),), "")
