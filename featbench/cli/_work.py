"""Commands that compute: extract, finetune, run."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import one_line
from featbench.cli._ending import finish, make_reporter, open_session, run_one, warn_skipped
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.experiments import Result, Run, Session


@app.command()
def extract(
    backbone: options.Backbone = None,
    data: options.Data = None,
    weights: options.Weights = None,
    output: Annotated[
        Path | None,
        Option(
            "-o",
            "--output",
            help="Also write one plain file (.h5, .npz, .parquet): X, y, id, split.",
        ),
    ] = None,
    layer: Annotated[
        list[str] | None, Option(help="A layer (again for more); default: features.")
    ] = None,
    pool: Annotated[
        str | None,
        Option(help="none, avg, max, cls or flat.", autocompletion=complete.known_values("pool")),
    ] = None,
    views: Annotated[int, Option(min=1, help="Augmented views of each image.")] = 1,
    augment: Annotated[str, Option(help="What a view is: random-crop+flip+rotate:15.")] = "none",
    precision: options.Precision = "float32",
    engine: Annotated[
        str | None, Option(help="How to run the network; default: the fastest that agrees.")
    ] = None,
    batch_size: Annotated[
        int | None, Option(min=1, help="Images a forward; default: what suits the device.")
    ] = None,
    limit: options.Limit = None,
    split_seed: options.SplitSeed = 0,
    seed: options.Seed = None,
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    strict: options.Strict = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Run a frozen network once over a data set and keep the features."""
    from featbench.datasets import load_dataset
    from featbench.experiments import (
        Choice,
        ResultStore,
        find_weights,
        remember_extraction,
        settle,
        with_backbone,
    )
    from featbench.extraction import check_export, export, extract_layers
    from featbench.networks import create_network

    layers = layer or ["features"]
    if output is not None:
        check_export(output)
        if len(layers) > 1:
            raise UsageError("-o takes one --layer; run the command once for each: nothing is "
                             "computed twice")  # fmt: skip
    given = with_backbone(Choice(data, backbone, weights, seed, limit, cache, results))
    chosen = settle(given, remember=False)
    reporter = make_reporter(quiet, chosen)
    dataset = load_dataset(chosen.data, limit=chosen.limit, split_seed=split_seed)
    for line in (*dataset.notices, *dataset.problems):
        reporter.say(f"{dataset.name}: {line}")
    found_weights = find_weights(chosen.weights, ResultStore(chosen.results))
    network = create_network(chosen.backbone, found_weights, seed=chosen.seed)
    found = extract_layers(
        dataset,
        network,
        layers,
        pooling=pool,
        views=views,
        augment=augment,
        view_seed=chosen.seed,
        precision=precision,
        engine=engine,
        cache=chosen.cache,
        device=device,
        batch=batch_size,
        strict=strict,
        rows=output is not None,
        reporter=reporter,
    )
    remember_extraction(chosen)
    first = next(iter(found.values()))
    if output is not None:
        export(first, output)
    warn_skipped(dict(first.skipped), chosen.cache / "skipped.csv")
    if as_json:
        summary = {
            "dataset": dataset.name,
            "network": network.name,
            "weights": network.weights,
            "rows_computed": first.rows_computed,
            "rows_cached": first.rows_cached,
            "skipped": len(first.skipped),
            "seconds": round(first.seconds, 3),
            "images": {name: len(part) for name, part in first.dataset.splits.items()},
            "engine": first.engine,
            "layers": {
                name: {"shape": features.row_shape, "space": features.spec.key}
                for name, features in found.items()
            },
            "output": None if output is None else str(output),
        }
        print(json.dumps(summary))
    else:
        print(f"{dataset.name} · {network.name} ({network.weights}): {first.describe()}")
        if output is not None:
            shape = " × ".join(f"{n:,}" for n in (first.rows_total, *first.row_shape))
            print(f"wrote {output}: {shape} numbers")
        reporter.say("next: featbench fit --head logreg")
    finish(bool(first.skipped or dataset.problems))


@app.command()
def finetune(
    backbone: options.Backbone = None,
    data: options.Data = None,
    weights: options.Weights = None,
    blocks: Annotated[
        str, Option(help="Train the last so many blocks, from a named one on, or all.")
    ] = "1",
    warm_start: Annotated[
        str | None,
        Option(
            help="Start the classifier from this linear head, such as logreg.",
            autocompletion=complete.starts,
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        Option(
            help="Go on from this run's weights, classifier included, with other settings.",
            autocompletion=complete.runs,
        ),
    ] = None,
    epochs: options.Epochs = None,
    lr: options.LearningRate = None,
    backbone_lr: options.BackboneLearningRate = None,
    schedule: options.Course = None,
    batch: options.Batch = None,
    optimizer: options.Optimizer = None,
    weight_decay: options.WeightDecay = None,
    dropout: options.Dropout = None,
    augment: options.Augment = None,
    select: options.Select = None,
    patience: options.Patience = None,
    set_: options.TrainSettings = None,
    limit: options.Limit = None,
    seed: options.Seed = None,
    split_seed: options.SplitSeed = 0,
    precision: options.Precision = "float32",
    activation_budget: options.ActivationBudget = None,
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    tensorboard: options.TensorBoard = None,
    mlflow: options.MLflow = None,
    again: options.Again = False,
    strict: options.Strict = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Train a network's last blocks, or all of it, and record the result.

    Interrupted, it goes on at the last epoch's end when the same command is run again.
    """
    from featbench.experiments import Choice, Run, settle, with_backbone

    common = {
        "epochs": epochs, "lr": lr, "backbone_lr": backbone_lr, "schedule": schedule,
        "batch": batch, "optimizer": optimizer, "weight_decay": weight_decay, "dropout": dropout,
        "select": select, "patience": patience, "augment": augment,
    }  # fmt: skip
    settings, of_head = _training_settings(common, set_ or [], warm_start)
    if init_from is not None and weights is not None:
        raise UsageError("--weights: goes without --init-from, which brings its own")
    given = with_backbone(Choice(data, backbone, weights, seed, limit, cache, results), init_from)
    chosen = settle(given, remember=True)
    run = Run(
        chosen.data,
        chosen.backbone,
        chosen.weights,
        blocks=blocks,
        settings=settings,
        warm_start_settings=of_head,
        warm_start=warm_start,
        init_from=init_from,
        seed=chosen.seed,
        split_seed=split_seed,
        limit=chosen.limit,
        precision=precision,
    )
    session = open_session(
        chosen, device, quiet, strict, activation_budget=activation_budget,
        tensorboard=tensorboard, mlflow=mlflow,
    )  # fmt: skip
    run_one(run, session, again, as_json)


def _training_settings(
    common: dict[str, Any], texts: list[str], warm_start: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what options and ``--set`` say of training, and of the warm start's head."""
    from featbench.experiments import parse_changes

    settings = {name: value for name, value in common.items() if value is not None}
    of_head: dict[str, Any] = {}
    for name, value in parse_changes(texts).items():
        head, dot, setting = name.partition(".")
        if not dot and name in settings:
            raise UsageError(f"--set {name}: is given twice; --{name.replace('_', '-')} says it")
        if dot and head != warm_start:
            raise UsageError(f"--set {name}: goes with --warm-start {head}")
        (of_head if dot else settings)[setting if dot else name] = value
    return settings, of_head


@app.command("run")
def run_recipe(
    recipe: Annotated[Path, typer.Argument(help="A TOML recipe.")],
    preset: Annotated[
        str | None, Option(help="One of the recipe's presets.", autocompletion=complete.presets)
    ] = None,
    set_: Annotated[
        list[str] | None, Option("--set", help="path.to.key=value, such as run.0.head=logreg.")
    ] = None,
    data: Annotated[
        list[str] | None,
        Option(
            help="In place of the recipe's data; or OLD=NEW for one of several (again).",
            autocompletion=complete.data,
        ),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        Option(
            help="In place of every pretrained network; or OLD=NEW for one (again).",
            autocompletion=complete.networks,
        ),
    ] = None,
    activation_budget: options.ActivationBudget = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Print the runs, what is finished and cached; do none.")
    ] = False,
    jobs: Annotated[
        int, Option(min=1, help="So many runs at once, each with its share of cores and memory.")
    ] = 1,
    report_to: Annotated[
        Path | None, Option("--report", help="Also write the HTML report here.")
    ] = None,
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    tensorboard: options.TensorBoard = None,
    mlflow: options.MLflow = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Do every run of a recipe that is not finished yet, then print the table."""
    from featbench.experiments import (
        Choice,
        ResultStore,
        carry_out,
        load_recipe,
        parse_changes,
        settle,
    )
    from featbench.report import as_markdown, make_table, write_report

    changes = parse_changes(set_ or [])
    plan = load_recipe(recipe, preset=preset, changes=changes, data=data, backbone=backbone)
    folders = settle(Choice(cache=cache, results=results), remember=False)
    folders = replace(folders, said=())  # a recipe says its own data
    session = open_session(
        folders, device, quiet, activation_budget=activation_budget, tensorboard=tensorboard,
        mlflow=None if dry_run else mlflow,
    )  # fmt: skip
    if dry_run:
        _print_forecast(plan.runs, session, as_json)
        return
    ended: dict[str, Result] = {}
    for run, result in carry_out(session, plan.runs, jobs=jobs):
        ended[run.key] = result
        if not quiet or result.status != "ok":
            print(f"[{len(ended)}/{len(plan.runs)}] {one_line(result)}", file=sys.stderr)
    done = [ended[run.key] for run in plan.runs]  # as the recipe has them
    if as_json:
        print(json.dumps([result.model_dump() for result in done], indent=1))
    else:
        table = as_markdown(make_table(session.store, done))
        print("\n\n".join(filter(None, (table, plan.note))))
    if report_to is not None:
        store = ResultStore(session.store.folder, leave_out=True)  # there may be others' results
        page = write_report(
            store, report_to, recipe=plan.name, title=plan.title or None, note=plan.note,
            cache=folders.cache,
        )  # fmt: skip
        print(f"\nreport: {page}", file=sys.stderr if as_json else sys.stdout)
    warn_skipped(session.skipped, session.store.folder / "RUN" / "skipped.csv")
    failed = any(r.status != "ok" for r in done)
    finish(failed or any(r.n_skipped for r in done) or bool(session.problems))


def _print_forecast(runs: list["Run"], session: "Session", as_json: bool) -> None:
    from featbench.experiments import forecast

    known = forecast(session, runs)
    if as_json:
        print(json.dumps([one.as_dict() for one in known]))
        return
    first: dict[str, int] = {}
    for number, one in enumerate(known, start=1):
        name = f"{one.run.name}: " if one.run.name else ""
        same = first.setdefault(one.unknown, number) if one.unknown else number
        told = one.describe() if same == number else f"unknown (like {same})"
        print(f"{number:3}  {name}{one.run.data} · {one.run.describe()}: {told}")
    finished = sum(one.finished is True for one in known)
    unknown = sum(one.unknown != "" for one in known)
    unsure = f", {unknown} unknown" if unknown else ""
    to_do = len(known) - finished - unknown
    print(f"{finished} finished, {to_do} to do{unsure}", file=sys.stderr)
