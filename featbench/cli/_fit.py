"""The command that fits heads."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import one_line
from featbench.cli._ending import finish, open_session, run_one, warn_skipped
from featbench.errors import UsageError

if TYPE_CHECKING:
    from featbench.experiments import Run, Session


@app.command()
def fit(
    head: Annotated[
        str | None,
        Option(
            help="A head (featbench heads), or all of them; required.",
            autocompletion=complete.heads,
        ),
    ] = None,
    backbone: options.Backbone = None,
    data: options.Data = None,
    weights: options.Weights = None,
    features: options.Features = None,
    features_x: options.FeaturesX = None,
    features_y: options.FeaturesY = None,
    features_split: options.FeaturesSplit = None,
    features_id: options.FeaturesId = None,
    features_group: options.FeaturesGroup = None,
    set_: Annotated[
        list[str] | None,
        Option(
            "--set",
            help="A setting of the head, such as C=10.",
            autocompletion=complete.head_settings,
        ),
    ] = None,
    tune: options.Tune = "0",
    folds: options.Folds = None,
    validation: options.Validation = None,
    memory: options.Memory = None,
    approximate: options.Approximate = False,
    limit: options.Limit = None,
    seed: options.Seed = None,
    split_seed: options.SplitSeed = 0,
    precision: options.Precision = "float32",
    device: options.Device = "auto",
    cache: options.Cache = None,
    results: options.Results = None,
    mlflow: options.MLflow = None,
    again: options.Again = False,
    strict: options.Strict = False,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Fit a head on frozen features (extracting what is missing) and record the result."""
    from featbench.experiments import Choice, Run, Selection, parse_changes, settle, with_backbone

    if head is None:
        from featbench.heads import HEADS

        raise UsageError(f"fit needs --head: {', '.join(HEADS)}, or all (featbench heads tells of "
                         "each)")  # fmt: skip
    given = with_backbone(Choice(data, backbone, weights, seed, limit, cache, results))
    names = {"X": features_x, "y": features_y, "split": features_split, "id": features_id,
             "group": features_group}  # fmt: skip
    columns = {key: name for key, name in names.items() if name is not None}
    others = {"--backbone": backbone, "--data": data, "--weights": weights,
              "--precision": precision if precision != "float32" else None}  # fmt: skip
    chosen = settle(given, remember=features is None)
    if features is not None:
        if clash := [option for option, value in others.items() if value is not None]:
            raise UsageError(f"--features {features}: these rows are computed already, so "
                             f"{' and '.join(clash)} cannot be given with it")  # fmt: skip
        origin: dict[str, Any] = {"features": str(features), "columns": columns}
        chosen = replace(chosen, seed=seed or 0, limit=limit, said=())  # not the project's images'
    elif columns:
        raise UsageError(f"--features-{next(iter(columns)).lower()} goes with --features FILE")
    else:
        origin = {"data": chosen.data, "network": chosen.backbone, "weights": chosen.weights,
                  "precision": precision}  # fmt: skip
    selection = Selection(int(tune) if tune.isdecimal() else tune, folds, validation)
    run = Run(
        **origin,
        head=head,
        settings=parse_changes(set_ or []),
        selection=selection,
        seed=chosen.seed,
        split_seed=split_seed,
        limit=chosen.limit,
    )
    session = open_session(chosen, device, quiet, strict, memory=memory, mlflow=mlflow)
    if head == "all":
        _run_every_head(run, approximate, session, again, as_json)
    else:
        run_one(_approximated(run) if approximate else run, session, again, as_json)


def _approximated(run: "Run") -> "Run":
    from featbench.heads import create_head

    if "approximate" not in create_head(run.method).get_params():
        raise UsageError(f"--approximate: head {run.method} is always exact; leave it out")
    return replace(run, settings={**run.settings, "approximate": True})


def _run_every_head(
    run: "Run", approximate: bool, session: "Session", again: bool, as_json: bool
) -> None:
    """Fit each registered head; those without a space to tune as they are."""
    from featbench.experiments import Selection
    from featbench.heads import HEADS, left_to_search

    runs = []
    for name in HEADS:
        own = replace(run, head=name)
        if not left_to_search(name, run.settings):
            own = replace(own, selection=Selection())
        if approximate and "approximate" in HEADS[name]().get_params():
            own = _approximated(own)
        own.settle_settings()  # what one of them does not know is found before any work
        runs.append(own)
    done = []
    for result in session.run_all(runs, again=again):
        done.append(result)
        if not as_json:
            print(one_line(result), flush=True)
    if as_json:
        print(json.dumps([result.model_dump() for result in done]))
    warn_skipped(session.skipped, session.store.folder / "RUN" / "skipped.csv")
    failed = any(result.status != "ok" for result in done)
    finish(failed or any(result.n_skipped for result in done) or bool(session.problems))
