"""Commands that draw: training curves of runs, zeros of their activations."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._ending import make_notice
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.experiments import Result, ResultStore

plot_app = typer.Typer(help="Draw pictures of runs: PNG, SVG or PDF.", no_args_is_help=True)
app.add_typer(plot_app, name="plot")

Runs = Annotated[list[str] | None, typer.Argument(help="Runs' ids, or how they begin.")]


def _store(folder: str | None) -> "ResultStore":
    from featbench.experiments import Choice, ResultStore, settle

    return ResultStore(settle(Choice(results=folder), remember=False).results)


@plot_app.command("curves")
def curves(
    runs: Runs = None,
    recipe: Annotated[
        str | None, Option(help="All runs of this recipe that were trained in epochs.")
    ] = None,
    output: Annotated[Path, Option("-o", "--output", help="A .png, .svg or .pdf file.")] = Path(
        "curves.png"
    ),
    results: options.Results = None,
    quiet: options.Quiet = False,
) -> None:
    """Overlay runs' training curves: loss and accuracy, training and validation."""
    from featbench.report import check_picture, curves_of, draw_curves, save_figure

    check_picture(output)
    store = _store(results)
    asked = _asked_runs(store, runs or [], recipe)
    trained = [(r, h) for r in asked if (h := store.history(r)) is not None]
    without = [r for r in asked if all(r is not one for one, _ in trained)]
    named = [r for r in without if any(r.run_id.startswith(text) for text in runs or [])]
    if named or not trained:
        first = (named or without)[0]
        failed = f" (it failed: {first.error})" if first.status != "ok" else ""
        raise UsageError(
            f"run {first.run_id}: {first.method} has no history of epochs{failed}; featbench "
            "finetune, and heads that are trained in epochs (mlp), keep one"
        )
    if without:
        make_notice(quiet)(
            f"left out: {len(without)} run{'s' * (len(without) > 1)} of {recipe} without epochs"
        )
    print(save_figure(draw_curves(curves_of(trained)), output))


def _asked_runs(store: "ResultStore", runs: list[str], recipe: str | None) -> "list[Result]":
    """Return the runs named, then a recipe's, each once."""
    if not runs and recipe is None:
        raise UsageError("name a run (featbench results ls lists them), or --recipe NAME")
    found = {r.run_id: r for r in map(store.get, runs)}
    if recipe is not None:
        known = store.all()
        of_it = {r.run_id: r for r in known if r.recipe == recipe}
        if not of_it:
            names = ", ".join(sorted({r.recipe for r in known if r.recipe})) or "none"
            raise UsageError(f"--recipe {recipe}: {store.folder} has no such runs; recipes there: "
                             f"{names}")  # fmt: skip
        found = {**found, **of_it}
    return list(found.values())
