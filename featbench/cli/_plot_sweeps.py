"""Pictures of many runs of one method: accuracy against images a class, and against depth."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._ending import make_notice
from featbench.cli._plot import asked_runs, plot_app, store_in
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.experiments import Result, ResultStore

Methods = Annotated[
    list[str] | None,
    Argument(
        help="A run of each method, by its id; its others are found (default: all there are).",
        autocompletion=complete.runs,
    ),
]


def _of_methods(
    store: "ResultStore", runs: list[str] | None, recipe: str | None, key: "Callable[[Result], str]"
) -> "list[Result]":
    """Return every run of the methods that are named, or of a recipe; else every one there is."""
    if not runs:
        return store.all() if recipe is None else asked_runs(store, [], recipe)
    wanted = {key(one) for run in runs for one in store.get_each(run)}
    others = [] if recipe is None else asked_runs(store, [], recipe)
    found = [r for r in store.all() if key(r) in wanted]
    return list({r.run_id: r for r in (*found, *others)}.values())


def _check_named(
    store: "ResultStore", runs: list[str] | None, drawn: Callable[["Result"], bool], what: str
) -> None:
    """Raise UsageError for a named run that is none of what is drawn."""
    for result in map(store.get, runs or []):
        if not drawn(result):
            why = f"failed ({result.error})" if result.status != "ok" else what
            raise UsageError(f"run {result.run_id}: {why}")


def _say_left_out(quiet: bool, left: int, what: str) -> None:
    if left:
        make_notice(quiet)(f"left out: {left} run{'s' * (left > 1)}: {what}")


@plot_app.command("fewshot")
def fewshot(
    runs: Methods = None,
    recipe: options.Recipe = None,
    labels_needed: options.LabelsNeeded = None,
    output: options.Picture = Path("fewshot.png"),
    results: options.Results = None,
    quiet: options.Quiet = False,
) -> None:
    """Show accuracy against images a class, a line a method: its mean over draws, with interval."""
    from featbench.report import (
        check_picture,
        draw_few_shots,
        few_shot_curves,
        few_shot_key,
        fraction_of,
        save_figure,
    )

    check_picture(output)
    target = None if labels_needed is None else fraction_of(labels_needed, "--labels-needed")
    store = store_in(results)
    _check_named(store, runs, lambda r: r.status == "ok" and "shots" in r.sample,
                 "is no few-shot run: it learned from all images")  # fmt: skip
    curves = few_shot_curves(_of_methods(store, runs, recipe, few_shot_key))
    picture = draw_few_shots(curves, target)
    _say_left_out(
        quiet, sum(c.left_out for c in curves), "other sizes of the same method lack their draw"
    )
    print(save_figure(picture, output))


@plot_app.command("layers")
def layers(
    runs: Methods = None,
    recipe: options.Recipe = None,
    output: options.Picture = Path("layers.png"),
    results: options.Results = None,
    quiet: options.Quiet = False,
) -> None:
    """Show accuracy against depth, a line a head: the layers of a sweep, from first to last."""
    from featbench.report import (
        check_picture,
        draw_layers,
        layer_sweep_key,
        layer_sweeps,
        save_figure,
    )

    check_picture(output)
    store = store_in(results)
    _check_named(store, runs, lambda r: r.status == "ok" and r.cut == "classifier",
                 "is no head on a layer: it trained the network")  # fmt: skip
    sweeps = layer_sweeps(_of_methods(store, runs, recipe, layer_sweep_key))
    picture = draw_layers(sweeps)
    _say_left_out(
        quiet, sum(s.left_out for s in sweeps), "other layers of the same method lack their seed"
    )
    print(save_figure(picture, output))
