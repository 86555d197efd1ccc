"""Pictures of what runs said: confusion, calibration, accuracy against cost, predictions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._ending import make_notice
from featbench.cli._plot import plot_app, store_in
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.experiments import PredictionTable, Result, ResultStore


def _tables(store: "ResultStore", runs: "list[Result]") -> "list[PredictionTable]":
    """Return each run's predictions; raises UsageError where one has none."""
    from featbench.experiments import load_predictions

    tables = []
    for result in runs:
        table = load_predictions(store, result)
        if table is None:
            why = f"failed ({result.error})" if result.status != "ok" else "kept no predictions"
            raise UsageError(f"run {result.run_id}: {why}; run it again with --again")
        tables.append(table)
    return tables


def _named(store: "ResultStore", runs: list[str] | None) -> "list[Result]":
    if not runs:
        raise UsageError("name a run (featbench results ls lists them)")
    return list({r.run_id: r for r in map(store.get, runs)}.values())


@plot_app.command("confusion")
def confusion(
    run: options.Run,
    output: options.Picture = Path("confusion.png"),
    results: options.Results = None,
) -> None:
    """Show which classes a run takes for which, and name the most frequent confusions."""
    from featbench.report import (
        check_picture,
        confusion_of,
        draw_confusion,
        label_of,
        save_figure,
    )

    check_picture(output)
    store = store_in(results)
    result = store.get(run)
    (table,) = _tables(store, [result])
    title = f"{result.dataset}: {label_of(result)}"
    print(save_figure(draw_confusion(confusion_of(table), title), output))


@plot_app.command("reliability")
def reliability(
    runs: options.Runs = None,
    output: options.Picture = Path("reliability.png"),
    results: options.Results = None,
) -> None:
    """Show runs' calibration: accuracy by confidence, before calibration too where there was."""
    from featbench.report import check_picture, draw_reliability, reliability_lines, save_figure

    check_picture(output)
    store = store_in(results)
    named = _named(store, runs)
    tables = _tables(store, named)
    for result, table in zip(named, tables, strict=True):
        if table.confidences is None:
            raise UsageError(
                f"run {result.run_id}: {result.method} gave no probabilities; fit it with "
                "--set calibrate=temperature"
            )
    lines = reliability_lines(list(zip(named, tables, strict=True)))
    print(save_figure(draw_reliability(lines), output))


@plot_app.command("speed")
def speed(
    results: options.ResultsFolder = None,
    recipe: options.Recipe = None,
    cost: Annotated[
        str,
        Option(
            help="images_per_second, fit_seconds or parameters_trainable.",
            autocompletion=complete.values(
                "images_per_second", "fit_seconds", "parameters_trainable"
            ),
        ),
    ] = "images_per_second",
    output: options.Picture = Path("speed.png"),
) -> None:
    """Show test accuracy against cost, and the methods that no other one beats in both.

    Runs on few labels have a picture of their own: plot fewshot.
    """
    from featbench.report import check_picture, draw_speed, results_of, save_figure

    check_picture(output)
    store = store_in(None if results is None else str(results))
    done = [r for r in results_of(store, recipe) if r.status == "ok"]
    shown = [r for r in done if "shots" not in r.sample]
    if done and not shown:
        raise UsageError(f"{store.folder}: only few-shot runs; featbench plot fewshot draws them")
    if not shown:
        of = f" of recipe {recipe!r}" if recipe else ""
        raise UsageError(f"{store.folder}: no finished runs{of}; featbench fit, finetune and run "
                         "make them")  # fmt: skip
    print(save_figure(draw_speed(shown, cost), output))


@plot_app.command("predictions")
def predictions(
    runs: options.Runs = None,
    data: Annotated[
        str | None, Option(help="Where the images are now; default: where they were.")
    ] = None,
    count: Annotated[int, Option(min=1, max=200, help="How many images.")] = 24,
    output: options.Picture = Path("predictions.png"),
    results: options.Results = None,
    cache: options.Cache = None,
    quiet: options.Quiet = False,
) -> None:
    """Show images with each run's label and confidence, those that most have wrong first."""
    from featbench.experiments import Choice, settle
    from featbench.report import (
        cases_of,
        check_picture,
        draw_predictions,
        labels_among,
        open_images,
        reader_of,
        save_figure,
    )

    check_picture(output)
    store = store_in(results)
    named = _named(store, runs)
    if len({r.fingerprint for r in named}) > 1:
        raise UsageError("these runs were measured on different data; name runs of one data set")
    cases = cases_of(_tables(store, named))
    folder = settle(Choice(cache=cache), remember=False).cache
    images = open_images(named[0], data, str(folder))
    wrong = sum(case.wrong > 0 for case in cases)
    make_notice(quiet)(f"{wrong:,} of {len(cases):,} test images are wrong in at least one run")
    figure = draw_predictions(cases[:count], labels_among(named), reader_of(images))
    print(save_figure(figure, output))
