"""The report: one HTML file that needs nothing else, and asks nothing of any network."""

import base64
import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from featbench import __version__
from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.files import write_whole
from featbench.report._escape import visible
from featbench.report._html_table import html_grid
from featbench.report._labels_table import labels_needed_table
from featbench.report._names import labels_among
from featbench.report._of_recipe import results_of
from featbench.report._page_pictures import FEW_SHOTS, Picture, pictures_of
from featbench.report._page_subjects import Subject, subjects_of
from featbench.report._page_wrong import WrongOnes, wrong_ones
from featbench.report._summary import labels_sentence, summary_of
from featbench.report._table import Table, make_table

_IMAGE_BYTES = 240_000


@dataclass(frozen=True)
class _Ledger:
    """What was tried for one run: a heading, and a row a candidate (settings, score, seconds)."""

    run: str
    label: str
    held_out: str
    rows: list[tuple[str, float, float, str]]


@dataclass(frozen=True)
class _Labels:
    """How many labels each method needs: a heading, a table, and what to know of it.

    It stands below the picture that has the heading ``below``.
    """

    below: str
    heading: str
    grid: Markup
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """One data set's part of the page."""

    anchor: str
    name: str
    note: str
    pictures: list[Picture]
    labels: _Labels | None
    wrong: WrongOnes | None
    ledgers: list[_Ledger]


def write_report(
    store: ResultStore,
    path: Path,
    *,
    recipe: str | None = None,
    title: str | None = None,
    note: str = "",
    data: str | None = None,
    cache: str | Path = "cache",
    labels_needed: float | None = None,
) -> Path:
    """Write the report of all results, or of one recipe's.

    Parameters
    ----------
    store : ResultStore
        The results.
    path : Path
        The HTML file.
    recipe : str, optional
        Only this recipe's runs.
    title : str, optional
        The page's heading; by default the recipe or the data sets.
    note : str
        What is to be said beside the table, such as a recipe's ``note``.
    data : str, optional
        Where the images of the wrong predictions are now; by default where each run found them.
    cache : path
        The feature store's folder, whose index knows unchanged files.
    labels_needed : float, optional
        The accuracy, a fraction, for which few-shot runs say how many labels reach it; by default
        what the best method reaches, rounded down to 5%.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    UsageError
        When there is no result to report, none of that recipe, or the file's name is a folder's.
    """
    results = results_of(store, recipe)
    if not results:
        raise UsageError(f"{store.folder}: no results; featbench fit, finetune and run make them")
    if path.is_dir():
        raise UsageError(f"-o {path}: is a folder; name a file in it, such as report.html")
    done = [r for r in results if r.status == "ok"]
    table = make_table(store, results)
    subjects = subjects_of(table.rows)
    parts = _parts(subjects, store, data, str(cache), labels_needed)
    names = ", ".join(dict.fromkeys(result.dataset for result in results))
    style, script = (_text(f"report.{kind}") for kind in ("css", "js"))
    page = _environment().get_template("report.html").render(
        title=title or f"featbench: {recipe or names}",
        made=f"{f'Recipe {recipe}: ' if recipe and title else ''}{len(done):,} finished "
        f"run{'s' * (len(done) != 1)}; written {datetime.date.today()} by featbench {__version__}",
        summary=[
            *(line for subject in subjects for line in _summary(subject, labels_needed)),
            *(line for name in _unfinished(results) for line in summary_of(name, ())),
        ],
        sections=_sections(table),
        note=note,
        notes=(*table.notes, *(f"Left out: {line}." for line in store.unreadable), *table.legend),
        parts=parts,
        failures=[r for r in results if r.status != "ok"],
        commands=list(dict.fromkeys(r.command for r in results if r.command)),
        runs=_runs(done),
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page.encode("utf-8", "replace"))
    return path.resolve()


def _unfinished(results: Sequence[Result]) -> list[str]:
    """Return the data sets of which no run has finished."""
    done = {result.dataset for result in results if result.status == "ok"}
    return [name for name in dict.fromkeys(r.dataset for r in results) if name not in done]


def _text(name: str) -> str:
    return (files("featbench.report") / "templates" / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("featbench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_seen,
    )


def _seen(value: Any) -> Any:
    """Let no control character or direction mark of somebody else's act in the page."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _sections(table: Table) -> list[tuple[str, Markup]]:
    return [(s.title, Markup(html_grid(table.columns, s))) for s in table.sections]


def _parts(
    subjects: Sequence[Subject],
    store: ResultStore,
    data: str | None,
    cache: str,
    target: float | None,
) -> list[_Part]:
    room = _IMAGE_BYTES // max(1, len(subjects))
    return [
        _Part(
            f"data{number}",
            subject.name,
            subject.note,
            pictures_of(subject, store, f"p{number}", target),
            _labels(subject, target),
            wrong_ones(subject.rows, store, data=data, cache=cache, room=room),
            _ledgers([run for row in subject.rows for run in row.runs]),
        )
        for number, subject in enumerate(subjects)
    ]


def _labels(subject: Subject, target: float | None) -> _Labels | None:
    if not subject.curves:
        return None
    goal = subject.goal(target)
    table = labels_needed_table(subject.few, goal)
    (section,) = table.sections
    grid = Markup(html_grid(table.columns, section))
    return _Labels(FEW_SHOTS, f"Labels needed for {100 * goal:g}%", grid, table.notes)


def _summary(subject: Subject, target: float | None) -> list[str]:
    lines = summary_of(subject.heading, subject.rows)
    if subject.curves:
        lines.append(labels_sentence(subject.curves, subject.goal(target)))
    return lines


def _ledgers(runs: Sequence[Result]) -> list[_Ledger]:
    """Return what was tried for each run whose settings were chosen, the best candidate first."""
    chosen = [run for run in runs if run.ledger]
    labels = labels_among(chosen) if chosen else []
    ledgers = []
    for run, label in zip(chosen, labels, strict=True):
        tried = [candidate["settings"] for candidate in run.ledger]
        varying = [k for k in tried[0] if any(t.get(k) != tried[0][k] for t in tried)]
        rows = [
            (", ".join(f"{k}={_short(c['settings'].get(k))}" for k in varying) or "defaults",
             c["accuracy"], c["seconds"], c["problem"])
            for c in sorted(run.ledger, key=lambda c: -(c["accuracy"] or 0.0))
        ]  # fmt: skip
        how = "; ".join(f"{k} {v}" for k, v in run.selection.items() if v is not None)
        ledgers.append(_Ledger(run.run_id[:6], label, f"{how}; {run.n_val:,} images held out",
                               rows))  # fmt: skip
    return ledgers


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _runs(runs: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return where each run's numbers come from, a row a run."""
    labels = labels_among(runs) if runs else []
    return [
        (
            run.run_id[:6], label, run.fingerprint[:12], str(run.seed), run.device, run.precision,
            run.engine, run.finished[:16].replace("T", " "),
            " ".join(f"{name} {version}" for name, version in run.versions.items()),
        )
        for run, label in zip(runs, labels, strict=True)
    ]  # fmt: skip
