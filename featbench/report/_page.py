"""The report: one HTML file that needs nothing else, with table, accuracy bars and curves."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from featbench import __version__
from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.files import write_whole
from featbench.report._curves import curves_of, draw_curves
from featbench.report._drawing import as_svg
from featbench.report._names import label_of
from featbench.report._plots import accuracy_bars
from featbench.report._table import NUMERIC, footnote, rows_of


@dataclass(frozen=True)
class _Picture:
    heading: str
    svg: Markup
    alt: str
    caption: str


def write_report(store: ResultStore, path: Path, *, recipe: str | None = None) -> Path:
    """Write the report of all results, or of one recipe's.

    Parameters
    ----------
    store : ResultStore
        The results.
    path : Path
        The HTML file.
    recipe : str, optional
        Only this recipe's runs.

    Returns
    -------
    Path
        The file, absolute.

    Raises
    ------
    UsageError
        When there is no result to report.
    """
    results = [r for r in store.all() if recipe is None or r.recipe == recipe]
    if not results:
        of = f" of recipe {recipe!r}" if recipe else ""
        raise UsageError(
            f"{store.folder}: no results{of}; featbench fit, finetune and run make them"
        )
    done = [r for r in results if r.status == "ok"]
    headings, rows = rows_of(done)
    environment = Environment(
        loader=PackageLoader("featbench.report"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("report.html").render(
        title=f"featbench: {recipe or ', '.join(dict.fromkeys(r.dataset for r in results))}",
        made=f"{len(done)} runs, made {datetime.date.today()} by featbench {__version__}",
        summary=_summary(done),
        headings=headings,
        numeric=NUMERIC,
        rows=rows,
        best=_best(done),
        footnote=footnote(done),
        pictures=_pictures(done, store),
        failures=[r for r in results if r.status != "ok"],
        provenance=_provenance(results),
    )
    if path.is_dir():
        raise UsageError(f"-o {path}: is a folder; name a file in it, such as report.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page.encode())
    return path.resolve()


def _best(results: Sequence[Result]) -> set[int]:
    """Return the row of the highest test accuracy of each data set."""
    best = set()
    for dataset in dict.fromkeys(r.fingerprint for r in results):
        rows = [i for i, r in enumerate(results) if r.fingerprint == dataset]
        best.add(max(rows, key=lambda i: results[i].test_accuracy or 0.0))
    return best


def _summary(results: Sequence[Result]) -> list[str]:
    lines = []
    for row in sorted(_best(results)):
        best = results[row]
        same = [r for r in results if r.fingerprint == best.fingerprint]
        frozen = [r for r in same if r.cut == "classifier" and r.weights != "random"]
        line = (
            f"{best.dataset}: the best of {len(same)} runs is {label_of(best)}, "
            f"{100 * (best.test_accuracy or 0):.1f}% of {best.n_test} test images right."
        )
        if frozen:
            top = max(frozen, key=lambda r: r.test_accuracy or 0.0)
            line += (
                f" The best head on frozen pretrained features, {top.method}, reaches "
                f"{100 * (top.test_accuracy or 0):.1f}%."
            )
        lines.append(line)
    return lines


def _pictures(results: Sequence[Result], store: ResultStore) -> list[_Picture]:
    pictures = []
    for dataset in dict.fromkeys(r.fingerprint for r in results):
        same = [r for r in results if r.fingerprint == dataset]
        name = same[0].dataset
        values = "; ".join(f"{label_of(r)}: {100 * (r.test_accuracy or 0):.1f}%" for r in same)
        pictures.append(_Picture(
            f"Test accuracy on {name}", Markup(as_svg(accuracy_bars(same))), f"Bar chart. {values}",
            "One bar a run, the best on top; a colour for each network and its weights.",
        ))  # fmt: skip
        trained = [(r, h) for r in same if (h := store.history(r)) is not None]
        if trained:
            curves = curves_of(trained)
            pictures.append(_Picture(
                f"Training curves on {name}", Markup(as_svg(draw_curves(curves))),
                f"Loss and accuracy by epoch of {', '.join(c.label for c in curves)}",
                "Training dashed, in training mode; validation solid; a ring around the epoch "
                "whose weights were kept.",
            ))  # fmt: skip
    return pictures


def _provenance(results: Sequence[Result]) -> list[str]:
    lines = [r.command for r in results if r.command]
    versions = [
        " ".join(f"{k} {v}" for k, v in r.versions.items()) + f" on {r.device}" for r in results
    ]
    return list(dict.fromkeys([*lines, *versions]))
