"""Commands that draw: training curves of runs, zeros of their activations."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from featbench.cli import _complete as complete
from featbench.cli import _options as options
from featbench.cli._app import app
from featbench.cli._console import ConsoleReporter, print_table
from featbench.cli._ending import finish, make_notice, warn_skipped
from featbench.errors import UsageError
from featbench.progress import SILENT

if TYPE_CHECKING:
    from featbench.experiments import Result, ResultStore
    from featbench.extraction import Sparsity
    from featbench.networks import Network

plot_app = typer.Typer(help="Draw pictures of runs: PNG, SVG or PDF.", no_args_is_help=True)
app.add_typer(plot_app, name="plot")


def store_in(folder: str | None) -> "ResultStore":
    """Return the results in a folder; by default the project's."""
    from featbench.experiments import Choice, ResultStore, settle

    return ResultStore(settle(Choice(results=folder), remember=False).results)


@plot_app.command("curves")
def curves(
    runs: options.Runs = None,
    recipe: Annotated[
        str | None,
        Option(
            help="All runs of this recipe that were trained in epochs.",
            autocompletion=complete.recipes,
        ),
    ] = None,
    output: options.Picture = Path("curves.png"),
    results: options.Results = None,
    quiet: options.Quiet = False,
) -> None:
    """Overlay runs' training curves: loss and accuracy, training and validation."""
    from featbench.report import check_picture, curves_of, draw_curves, save_figure

    check_picture(output)
    store = store_in(results)
    asked = asked_runs(store, runs or [], recipe)
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


def asked_runs(store: "ResultStore", runs: list[str], recipe: str | None) -> "list[Result]":
    """Return the runs named, then a recipe's, each once."""
    if not runs and recipe is None:
        raise UsageError("name a run (featbench results ls lists them), or --recipe NAME")
    found = {r.run_id: r for run in runs for r in store.get_each(run)}
    if recipe is not None:
        from featbench.report import results_of

        found |= {r.run_id: r for r in results_of(store, recipe)}
    return list(found.values())


@plot_app.command("sparsity")
def sparsity(
    runs: options.Runs = None,
    data: options.Data = None,
    backbone: Annotated[
        list[str] | None,
        Option(
            help="A network, beside the runs (again for more).", autocompletion=complete.networks
        ),
    ] = None,
    weights: Annotated[
        list[str] | None, Option(help="Its weights (as often as --backbone, in its order).")
    ] = None,
    split: options.Split = "test",
    limit: options.Limit = None,
    split_seed: options.SplitSeed = 0,
    seed: options.Seed = None,
    output: options.Picture = Path("sparsity.png"),
    device: options.Device = "auto",
    results: options.Results = None,
    cache: options.Cache = None,
    quiet: options.Quiet = False,
    as_json: options.Json = False,
) -> None:
    """Show the share of zeros that each ReLU makes, for runs' networks side by side."""
    from featbench.datasets import load_dataset, use_index
    from featbench.experiments import Choice, settle
    from featbench.extraction import activation_sparsity
    from featbench.report import check_picture, draw_sparsity, save_figure

    check_picture(output)
    if len(weights or []) not in (0, 1, len(backbone or [])):
        raise UsageError("--weights: give it once for all networks, or once for each --backbone")
    if not runs and not backbone:
        raise UsageError("name a run (featbench results ls lists them), or --backbone NAME")
    chosen = settle(Choice(data=data, seed=seed, limit=limit, cache=cache, results=results),
                    remember=False)  # fmt: skip
    notice = make_notice(quiet)
    for line in chosen.said:
        if line.startswith("data "):
            notice(line)
    dataset = load_dataset(chosen.data, limit=chosen.limit, split_seed=split_seed)
    for line in (*dataset.notices, *dataset.problems):
        notice(f"{dataset.name}: {line}")
    use_index(dataset, chosen.cache)
    reporter = SILENT if quiet else ConsoleReporter()
    store = store_in(results)
    named = _networks(store, runs or [], backbone or [], weights or ["default"], chosen.seed)
    found = {
        name: activation_sparsity(network, dataset, split=split, device=device, reporter=reporter)
        for name, network in named
    }
    with_rows = {name: one for name, one in found.items() if one.rows}
    for name, one in found.items():
        if one.left_out:
            kinds = ", ".join(sorted(set(one.left_out.values())))
            layers = ", ".join(one.left_out)
            notice(f"{name}: left out, since {kinds} makes no exact zeros: {layers}")
    if not with_rows:
        raise UsageError("none of these networks has an activation that makes exact zeros "
                         "(such as ReLU)")  # fmt: skip
    path = save_figure(draw_sparsity(with_rows), output)
    if as_json:
        models = {name: one.as_dict() for name, one in found.items()}
        print(json.dumps({"split": split, "models": models, "output": str(path)}))
    else:
        _print_sparsity(with_rows)
        print(f"\n{path}")
    skipped = dict(pair for one in found.values() for pair in one.skipped)
    warn_skipped(skipped, Path("--json"))
    finish(bool(skipped or dataset.problems))


def _networks(
    store: "ResultStore", runs: list[str], backbones: list[str], weights: list[str], seed: int
) -> "Iterator[tuple[str, Network]]":
    """Yield networks one after the other, each with a name that no other one has.

    Heads on one frozen network share it: it comes once.
    """
    from featbench.experiments import FINE_TUNE, network_of
    from featbench.networks import create_network
    from featbench.report import label_of, labels_among

    results = list({r.run_id: r for r in map(store.get, runs)}.values())
    trained = [r for r in results if r.method == FINE_TUNE]
    labels = labels_among(trained) if trained else []
    frozen = {(r.network, r.weights, r.seed): r for r in results if r.method != FINE_TUNE}
    names = [f"{network} ({weights}), frozen" for network, weights, _ in frozen]
    for (_, _, own_seed), result, name in zip(frozen, frozen.values(), names, strict=True):
        several = names.count(name) > 1
        yield f"{name}, seed {own_seed}" if several else name, network_of(result, store)
    for result, label in zip(trained, labels, strict=True):
        named = label if len(trained) > 1 and not frozen and not backbones else label_of(result)
        clear = [label_of(r) for r in trained].count(named) < 2
        yield named if clear else f"{named} · {label}", network_of(result, store)
    whole = weights if len(weights) == len(backbones) else weights * len(backbones)
    for name, kind in dict.fromkeys(zip(backbones, whole, strict=True)):
        network = create_network(name, kind, seed=seed)
        title = f"{network.name} ({network.weights}), frozen"
        if title not in names:
            yield title, network


def _print_sparsity(found: "dict[str, Sparsity]") -> None:
    """Print a row for each call and a column for each model; the models are listed first."""
    from featbench.report import sparsity_table

    letters = [chr(ord("A") + i % 26) * (1 + i // 26) for i in range(len(found))]
    for letter, (name, one) in zip(letters, found.items(), strict=True):
        print(f"{letter}  {name}: {one.images:,} images")
    rows = [
        (layer, str(call), *("" if s is None else f"{100 * s:5.1f}" for s in shares))
        for layer, call, shares in sparsity_table(found)
    ]
    print("\nzeros among the activations, %")
    print_table(("layer", "call", *(f"{letter:>5}" for letter in letters)), rows)
