"""Commands that show what there is: table, report, results, networks, heads, datasets, init."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import one_line, print_network, print_table
from featbench.cli._ending import warn_unreadable
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.experiments import Result, ResultStore
    from featbench.report import Table

networks_app = typer.Typer(help="List networks, or show one's blocks and parameters.")
results_app = typer.Typer(help="List, show, send or remove recorded runs.", no_args_is_help=True)
app.add_typer(networks_app, name="networks")
app.add_typer(results_app, name="results")


def _store(folder: str | Path | None) -> "ResultStore":
    from featbench.experiments import Choice, ResultStore, settle

    if folder is not None and not Path(folder).is_dir():
        raise UsageError(f"{folder}: no such folder; featbench fit, finetune and run make results")
    given = Choice(results=None if folder is None else str(folder))
    return ResultStore(settle(given, remember=False).results, leave_out=True)


def _none_in(store: "ResultStore") -> str:
    return f"no results in {store.folder} yet: featbench fit --head logreg makes one"


@app.command()
def table(
    results: options.ResultsFolder = None,
    recipe: options.Recipe = None,
    format_: Annotated[
        str,
        Option(
            "--format",
            help="md, csv, json, latex (booktabs) or html.",
            autocompletion=complete.values("md", "csv", "json", "latex", "html"),
        ),
    ] = "md",
    columns: Annotated[
        str | None,
        Option(
            help="Which, by their names in JSON: method,test_accuracy,test_macro_f1,test_ece.",
            autocompletion=complete.table_columns,
        ),
    ] = None,
    rows: Annotated[
        str | None, Option(help="Only rows where all of this holds: network=resnet50,head=svm-*.")
    ] = None,
    sort: Annotated[
        str | None,
        Option(
            help="By this column, the highest first where more is better (default: test_accuracy).",
            autocompletion=complete.table_columns,
        ),
    ] = None,
    group: Annotated[
        str | None, Option(help="A section for each value of this column (default: dataset).")
    ] = None,
    per_run: Annotated[
        bool, Option("--per-run", help="A row for each run; else its seeds are one row.")
    ] = False,
    labels_needed: options.LabelsNeeded = None,
    as_json: Annotated[bool, Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print recorded results as one table: a row a method, compared by paired tests."""
    from featbench.report import FOR_PROGRAMS, FORMATS, make_table, results_of

    format_ = "json" if as_json else format_
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: expected {', '.join(FORMATS)}")
    store = _store(results)
    shown = results_of(store, recipe)
    if not shown and format_ not in FOR_PROGRAMS:
        print(_none_in(store))
        warn_unreadable(store)
        return
    if labels_needed is not None:
        given = {"--columns": columns, "--sort": sort, "--group": group, "--per-run": per_run}
        made = _labels_table(shown, labels_needed, rows, [name for name in given if given[name]])
    else:
        # runs end in an order that chance makes where several are done at once
        best_first = sort or "test_accuracy"
        made = make_table(
            store, shown, columns=columns, rows=rows, sort=best_first, group=group, per_run=per_run
        )
    print(FORMATS[format_](made))
    if format_ in FOR_PROGRAMS:
        print("\n".join(made.notes), file=sys.stderr)
    warn_unreadable(store)


def _labels_table(
    results: "list[Result]", per_cent: float, rows: str | None, others: list[str]
) -> "Table":
    """Return the table of labels needed, which has columns and an order of its own."""
    from featbench.report import fraction_of, labels_needed_table

    if others:
        raise UsageError(f"{others[0]}: goes without --labels-needed, whose rows are methods, the "
                         "fewest labels first")  # fmt: skip
    return labels_needed_table(results, fraction_of(per_cent, "--labels-needed"), rows=rows)


@app.command()
def report(
    results: options.ResultsFolder = None,
    output: Annotated[Path, Option("-o", "--output", help="The HTML file.")] = Path("report.html"),
    recipe: options.Recipe = None,
    title: Annotated[
        str | None, Option(help="The page's heading; default: the recipe or the data sets.")
    ] = None,
    data: Annotated[
        str | None, Option(help="Where the images are now; default: where they were.")
    ] = None,
    labels_needed: options.LabelsNeeded = None,
    cache: options.Cache = None,
) -> None:
    """Write one self-contained HTML file: what came of the runs, in words, tables and pictures."""
    from featbench.experiments import Choice, settle
    from featbench.report import fraction_of, write_report

    goal = None if labels_needed is None else fraction_of(labels_needed, "--labels-needed")
    folder = settle(Choice(cache=cache), remember=False).cache
    store = _store(results)
    page = write_report(
        store, output, recipe=recipe, title=title, data=data, cache=folder, labels_needed=goal
    )
    print(page)
    warn_unreadable(store)


@app.command()
def heads(as_json: options.Json = False) -> None:
    """List the heads and their default settings."""
    from featbench.heads import HEADS, create_head

    settings = {name: create_head(name).get_params(deep=False) for name in HEADS}
    if as_json:
        print(json.dumps(settings))
        return
    rows = [(n, ", ".join(f"{k}={v}" for k, v in s.items())) for n, s in settings.items()]
    print_table(("head", "defaults (--set name=value)"), rows)


@app.command()
def datasets(as_json: options.Json = False) -> None:
    """List the data sets that have a name, and where downloads are kept."""
    from featbench.datasets import DATASETS, data_root

    if as_json:
        print(json.dumps({"names": list(DATASETS), "root": str(data_root())}))
        return
    print("\n".join(DATASETS))
    print(f"\nor a folder or .zip of class folders, or a .csv. Downloads are kept in {data_root()}")


@networks_app.callback(invoke_without_command=True)
def networks(context: typer.Context, as_json: options.Json = False) -> None:
    """List the networks, or (networks show NAME) one's blocks and parameters."""
    if context.invoked_subcommand is not None:
        return
    from featbench.networks import NETWORKS

    if as_json:
        print(json.dumps(list(NETWORKS)))
        return
    print("\n".join(NETWORKS))
    print("\nor timm/NAME for any timm model; efficientnet_lite0 needs no download")


@networks_app.command("show")
def networks_show(
    name: options.Network,
    classes: Annotated[int | None, Option(min=1, help="Outputs of the classifier.")] = None,
    blocks: Annotated[
        str, Option(help="Count as trained: the last so many, from a named one on, or all.")
    ] = "0",
    size: Annotated[int | None, Option(min=1, help="Pixels of a side of the image.")] = None,
    as_json: options.Json = False,
) -> None:
    """Show a network's layers and blocks, its multiply-adds, and how many parameters train."""
    from featbench.networks import create_network, layers_of, small_options

    sized = {"size": size} if size is not None and "size" in small_options(name) else {}
    network = create_network(name, "random", classes, **sized)
    total, trainable = network.parameters(blocks)
    first = network.first_trained(blocks)
    layers = layers_of(network, size)
    stages, trains = [], first == "pixels"
    for stage, count in network.block_parameters().items():
        trains = trains or stage == first
        stages.append({"name": stage, "parameters": count, "trains": trains})
    channels, height, width = network.preprocessing.shape
    summary = {
        "network": network.name,
        "total": total,
        "trainable": trainable,
        "trained_from": first,
        "input": (channels, size or height, size or width),
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "blocks": stages,
        "layers": [asdict(layer) for layer in layers],
    }
    if as_json:
        print(json.dumps(summary))
    else:
        print_network(summary)


@results_app.command("ls")
def results_ls(results: options.Results = None, as_json: options.Json = False) -> None:
    """List recorded runs, oldest first, then those whose training is not finished."""
    from featbench.experiments import unfinished

    store = _store(results)
    found = store.all()
    if as_json:
        print(json.dumps([r.model_dump() for r in found]))
    else:
        under_way = unfinished(store)
        if not found and not under_way:
            print(_none_in(store), file=sys.stderr)
        for result in found:
            print(f"{result.run_id}  {result.finished[:19]}  {result.dataset} · {one_line(result)}")
        for left in under_way:
            print(left.describe())
    warn_unreadable(store)


@results_app.command("show")
def results_show(run: options.Run, results: options.Results = None) -> None:
    """Print one run's whole record as JSON."""
    print(json.dumps(_store(results).get(run).model_dump(), indent=1))


@results_app.command("send")
def results_send(
    mlflow: Annotated[str, Option("--mlflow", help="An MLflow server's URI, or a folder.")],
    runs: Annotated[
        list[str] | None, typer.Argument(help="Runs' ids, or how they begin; default: all.")
    ] = None,
    recipe: options.Recipe = None,
    results: options.Results = None,
) -> None:
    """Send recorded runs to MLflow; those that are there are left alone."""
    from featbench.experiments import MLflow

    store = _store(results)
    chosen = [store.get(run) for run in runs] if runs else store.all()
    chosen = [result for result in chosen if recipe is None or result.recipe == recipe]
    board = MLflow(mlflow)
    sent = sum(board.send(result, store.folder / result.run_id) for result in chosen)
    print(f"{sent} of {len(chosen)} runs sent to {mlflow}"
          + (f"; {len(chosen) - sent} were there" if sent < len(chosen) else ""))  # fmt: skip


@results_app.command("rm")
def results_rm(run: options.Run, results: options.Results = None) -> None:
    """Remove one run's folder, or what an interrupted training left."""
    from featbench.experiments import remove_unfinished

    store = _store(results)
    left = remove_unfinished(store, run)
    print(f"removed {one_line(store.remove(run)) if left is None else left.run_id}")


@app.command()
def init(
    data: Annotated[str, typer.Argument(help="What --data takes.", autocompletion=complete.data)],
    backbone: Annotated[
        str, Option(help="The network to use.", autocompletion=complete.networks)
    ] = "efficientnet_lite0",
) -> None:
    """Write featbench.toml: what is meant in this folder where an option is left out."""
    from featbench.datasets import load_dataset
    from featbench.experiments import write_project
    from featbench.networks import check_network
    from featbench.untrusted import shown

    check_network(backbone)
    dataset = load_dataset(data)  # an error now is better than one in every later command
    for line in (*dataset.notices, *dataset.problems):
        typer.echo(shown(f"{dataset.name}: {line}"), err=True)
    print(f"{shown(dataset.name)}: {dataset.describe()}")
    print(f"wrote {write_project(data, backbone)}; next: featbench fit --head logreg")
