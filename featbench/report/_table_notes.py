"""What stands under a table: how methods were compared, what was left out, what marks mean."""

from collections.abc import Sequence

from featbench.experiments import Result
from featbench.report._columns import Column
from featbench.report._guessing_notes import guessing_notes
from featbench.report._names import sample_name
from featbench.report._rows import Row, Rows
from featbench.report._small_tests import small_test_notes


def notes_on(found: Rows, shown: Sequence[Row], constant: Sequence[tuple[str, str]]) -> list[str]:
    """Return the sentences on data, tests and what is missing; unescaped.

    Parameters
    ----------
    found : Rows
        All rows, compared.
    shown : sequence of Row
        Those that are shown.
    constant : sequence of (str, str)
        Headings and values that all rows share and no column has.
    """
    notes = [_on_data(found, data) for data in dict.fromkeys(r.data for r in shown if not r.failed)]
    notes += guessing_notes([row for row in shown if not row.failed])
    notes += _on_tests(found, shown)
    notes += small_test_notes(found.compared, shown)
    if len({row.size for row in shown}) > 1:
        notes.append("Methods are compared with those that learned from as many images: letters, "
                     "p-values, the best and ranks are of one size each.")  # fmt: skip
    if constant:
        notes.append("; ".join(f"{heading}: {value}" for heading, value in constant) + ".")
    if len(shown) < len(found.rows) and any(row.standing for row in shown):
        notes.append(f"{len(shown)} of {len(found.rows)} rows are shown; letters and p-values are "
                     "of all.")  # fmt: skip
    missing = sum(len(row.runs) for row in shown if row.standing is None and not row.failed)
    if missing:
        notes.append(f"{_runs(missing)} kept no predictions and {_were(missing)} not compared; "
                     "such intervals are Wilson's.")  # fmt: skip
    if found.unused:
        notes.append(f"{_runs(len(found.unused))} {_were(len(found.unused))} left out: another one "
                     "of the same method and seed is later, or has predictions.")  # fmt: skip
    failed = [run for row in shown if row.failed for run in row.runs]
    if failed:
        notes.append(f"{_runs(len(failed))} failed: featbench results show "
                     f"{failed[0].run_id[:6]} says why.")  # fmt: skip
    return notes


def legend(rows: Sequence[Row], columns: Sequence[Column]) -> tuple[str, ...]:
    """Return what a reader has to know of marks and headings."""
    names = {column.name for column in columns}
    lines = []
    if "test_accuracy" in names and len(rows) > 1:
        tied = "; italic: not told apart from it" if any(row.tied for row in rows) else ""
        of = " and size" if len({row.size for row in rows}) > 1 else ""
        lines.append(f"Bold: the best shown of its data set{of}{tied}.")
    if any(len(row.runs) > 1 for row in rows):
        lines.append("±: standard deviation over seeds (n - 1).")
    if "published_test_accuracy" in names:
        sources = dict.fromkeys(row.first.published_source for row in rows)
        told = "; ".join(source for source in sources if source)
        lines.append("published %: the published figure, and ours less it, in points"
                     + (f" ({told})." if told else "."))  # fmt: skip
    meanings = {
        "parameters": "trained/all: parameters trained, and of the whole network.",
        "seconds": "time s: extraction with nothing cached (trained from the pixels: decoding) "
                   "+ fit.",
        "images_per_second": "images/s: from file to label with nothing cached, as measured in "
                             "the run.",
        "test_log_loss": "log-loss: in nats; was: before calibration.",
        "test_log_loss_interval": "log-loss interval: in nats, after any calibration.",
        "test_ece": "ECE: expected calibration error, 15 bins.",
    }  # fmt: skip
    return (*lines, *(text for name, text in meanings.items() if name in names))


def footnote(results: Sequence[Result]) -> str:
    """Return what a table of single runs, not compared, rests on: for the page."""
    lines = []
    for fingerprint in dict.fromkeys(r.fingerprint for r in results if r.status == "ok"):
        same = [r for r in results if r.fingerprint == fingerprint and r.status == "ok"]
        lines.append(
            f"{same[0].dataset}: {same[0].n_test:,} test images, read by {_runs(len(same))}; "
            "95% Wilson intervals."
        )
    return " ".join(lines)


def _on_data(found: Rows, data: str) -> str:
    """Say how large a test split is, and how often it was read."""
    runs = [run for row in found.rows if row.data == data and not row.failed for run in row.runs]
    sizes = sorted({run.n_test for run in runs})
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    few = {run.limit for run in runs}
    most = (
        f" (at most {next(iter(few))} images a class)" if len(few) == 1 and None not in few else ""
    )
    (drawn, *more) = {sample_name(run.sample) for run in runs}
    learned = f" that learned from {drawn}" if drawn and not more else ""
    images = "image" if sizes == [1] else "images"
    return f"{data}: {size} test {images}{most}, read by {_runs(len(runs))}{learned}."


def _on_tests(found: Rows, shown: Sequence[Row]) -> list[str]:
    """Return the comparisons' own notes; what is the same for all of them, once."""
    names = {run.run_id: row.data for row in shown for run in row.runs}
    having: dict[str, dict[str, list[dict[str, int]]]] = {}  # note → data set → sizes
    every: dict[str, list[dict[str, int]]] = {}
    for one in found.compared:
        data = next((names[r.run_id] for runs in one.methods for r in runs if r.run_id in names),
                    None)  # fmt: skip
        if data is None:
            continue
        every.setdefault(data, []).append(one.sample)
        for note in one.comparison.notes:
            having.setdefault(note, {}).setdefault(data, []).append(one.sample)
    return [
        note if there == every
        else "; ".join(_told(data, sizes, every[data]) for data, sizes in there.items())
        + f": {note}"
        for note, there in having.items()
    ]  # fmt: skip


def _told(data: str, sizes: Sequence[dict[str, int]], every: Sequence[dict[str, int]]) -> str:
    """Name a data set, and of its sizes those that are meant, where these are not all."""
    if len(sizes) == len(every):
        return data
    shots = sorted(size["shots"] for size in sizes if "shots" in size)
    others = [sample_name(size) or "all images" for size in sizes if "shots" not in size]
    if shots:
        counts = ", ".join(map(str, shots[:-1]))
        counts = f"{counts} and {shots[-1]}" if counts else str(shots[-1])
        others.append(f"{counts} image{'s' * (shots != [1])} a class")
    return f"{data}, {'; '.join(others)}"


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
