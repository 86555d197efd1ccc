"""The table: what was compared, how well it did, what it cost."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from featbench.experiments import Result
from featbench.report._names import method_name
from featbench.statistics import wilson_interval

NONE = "–"


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f}"


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _interval(result: Result) -> str:
    if result.test_accuracy is None:
        return NONE
    low, high = wilson_interval(result.test_accuracy, result.n_test)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _given(result: Result) -> str:
    given = {k: v for k, v in result.given.items() if k not in ("warm_start", "random_state")}
    settings = ", ".join(f"{k}={v}" for k, v in given.items())
    if not result.ledger:
        return settings
    return f"{settings or 'defaults'} (best of {len(result.ledger)})"


def _log_loss(result: Result) -> str:
    if result.test_log_loss is None:
        return NONE
    before = result.test_log_loss_uncalibrated
    return f"{result.test_log_loss:.3f}" + ("" if before is None else f" (was {before:.3f})")


def _extraction(result: Result) -> str:
    """Return the time without the cache; none where a file held the features."""
    from_file = result.cut == "classifier" and not result.rows_computed + result.rows_cached
    return NONE if from_file else f"{result.extract_seconds_cold:.1f}"


def _published(result: Result) -> str:
    if result.published_test_accuracy is None or result.test_accuracy is None:
        return _percent(result.published_test_accuracy)
    difference = 100 * (result.test_accuracy - result.published_test_accuracy)
    return f"{_percent(result.published_test_accuracy)} ({difference:+.1f})"


COLUMNS: dict[str, Callable[[Result], str]] = {
    "data": lambda r: r.dataset,
    "network": lambda r: r.network,
    "weights": lambda r: r.weights,
    "trained from": lambda r: r.cut,
    "method": method_name,
    "settings": _given,
    "seed": lambda r: str(r.seed),
    "split seed": lambda r: str(r.split_seed),
    "a class": lambda r: NONE if r.n_per_class is None else str(r.n_per_class),
    "test %": lambda r: "failed" if r.status != "ok" else _percent(r.test_accuracy),
    "95% interval": _interval,
    "log-loss": _log_loss,
    "train %": lambda r: _percent(r.train_accuracy),
    "published %": _published,
    "trainable": lambda r: _count(r.parameters_trainable),
    "parameters": lambda r: _count(r.parameters_total),
    "extract s": _extraction,
    "fit s": lambda r: f"{r.fit_seconds:.1f}",
    "images/s": lambda r: NONE if r.images_per_second is None else f"{r.images_per_second:.0f}",
    "run": lambda r: r.run_id[:6],
}
"""Heading and text of each column; ``extract s`` is the time without the cache, for a network
trained from the pixels that of decoding."""
NUMERIC = (
    "test %", "95% interval", "train %", "published %", "trainable", "parameters", "extract s",
    "fit s", "images/s",
)  # fmt: skip
"""The columns that are aligned as numbers."""


def rows_of(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows as text, without columns that tell nothing here."""
    columns = {name: [text(r) for r in results] for name, text in COLUMNS.items()}
    shown = [name for name, cells in columns.items() if _tells(name, cells)]
    return shown, [list(row) for row in zip(*(columns[name] for name in shown), strict=True)]


def _tells(name: str, cells: Sequence[str]) -> bool:
    if name in ("seed", "split seed", "a class"):
        return len(set(cells)) > 1
    if name == "log-loss":  # where probabilities were asked for
        return any("was" in cell for cell in cells)
    if name in ("settings", "published %", "images/s", "parameters"):
        return any(cell not in ("", NONE) for cell in cells)
    return True


def as_markdown(results: Sequence[Result]) -> str:
    """Return a Markdown table, aligned so that it can be read as it is."""
    headings, rows = rows_of(results)
    cells = [[_markdown_text(c) for c in row] for row in [headings, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    numeric = [heading in NUMERIC for heading in headings]
    lines = [
        "| " + " | ".join(c.rjust(w) if right else c.ljust(w)
                          for c, w, right in zip(row, widths, numeric, strict=True)) + " |"
        for row in cells
    ]  # fmt: skip
    rule = "|".join(
        "-" * (w + 1) + (":" if right else "-") for w, right in zip(widths, numeric, strict=True)
    )
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _markdown_text(text: str) -> str:
    """Keep a cell a cell: no pipe, line break or tag of its own."""
    for old, new in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("\r", " "), ("\n", " ")):
        text = text.replace(old, new)
    return text


def as_csv(results: Sequence[Result]) -> str:
    """Return every field as CSV; text that a spreadsheet would run is quoted with '."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Result.model_fields)
    for result in results:
        table.writerow([_csv_text(value) for value in result.model_dump().values()])
    return text.getvalue().rstrip("\n")


def _csv_text(value: object) -> object:
    if isinstance(value, dict | list):
        value = json.dumps(value)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def as_json(results: Sequence[Result]) -> str:
    """Return every result as a JSON list."""
    return json.dumps([result.model_dump() for result in results], indent=1)


FORMATS: dict[str, Callable[[Sequence[Result]], str]] = {
    "md": as_markdown,
    "csv": as_csv,
    "json": as_json,
}


def footnote(results: Sequence[Result]) -> str:
    """Return what the intervals rest on, how often test splits were read, and what a rate is."""
    lines = []
    for fingerprint in dict.fromkeys(r.fingerprint for r in results if r.status == "ok"):
        same = [r for r in results if r.fingerprint == fingerprint and r.status == "ok"]
        lines.append(
            f"{same[0].dataset}: {same[0].n_test} test images, read by {len(same)} "
            f"run{'s' * (len(same) > 1)}; 95% Wilson intervals."
        )
    if any(r.images_per_second is not None for r in results):
        lines.append("images/s: from file to label with nothing cached, as measured in the run "
                     "(decoding, everything below the cut, what lies above it).")  # fmt: skip
    return " ".join(lines)
