"""A study as one TOML file: a recipe is expanded to a grid of runs; a list anywhere is an axis."""

import copy
import itertools
import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from featbench.datasets import Source
from featbench.errors import UsageError, did_you_mean
from featbench.experiments._changes import is_of_preset, put_in
from featbench.experiments._instead import Given, Instead
from featbench.experiments._protocols import with_protocol
from featbench.experiments._recipe_tables import (
    Preset,
    Published,
    Recipe,
    RunTable,
    check_keys,
    read_tables,
)
from featbench.experiments._run import Run
from featbench.experiments._sample import Sample
from featbench.experiments._selection import Selection
from featbench.experiments._stages import going_on
from featbench.experiments._sweep import layers_to_sweep
from featbench.finetune import Schedule
from featbench.heads import create_head, left_to_search
from featbench.networks import check_network


@dataclass(frozen=True)
class Plan:
    """What a recipe comes to.

    Parameters
    ----------
    name : str
        The file's stem, and the preset after a colon: what results call the recipe.
    title : str
        What people call it.
    note : str
        What to bear in mind when reading its table.
    runs : list of Run
        In an order in which runs that share a network follow each other.
    """

    name: str
    title: str
    note: str
    runs: list[Run]


def load_recipe(
    path: Path,
    *,
    preset: str | None = None,
    changes: dict[str, Any] | None = None,
    data: Given = None,
    backbone: Given = None,
) -> Plan:
    """Read a recipe and expand it.

    Parameters
    ----------
    path : Path
        The TOML file.
    preset : str, optional
        One of its presets.
    changes : dict of str to Any, optional
        Dotted paths to values (``run.0.train.epochs``), set before the recipe is checked.
    data, backbone : str or sequence of str, optional
        Used in place of the recipe's data, and of every network that has pretrained weights; or
        ``OLD=NEW``, as ``Instead`` says.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        For a file that is not there or not TOML, or a key or value that is not known; the message
        names the key's path and the nearest known key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: is not TOML: {error}") from error
    changes = changes or {}
    put_in(content, {k: v for k, v in changes.items() if is_of_preset(k)}, preset)
    try:
        _take_runs_of(content, preset)
        put_in(content, {k: v for k, v in changes.items() if not is_of_preset(k)})
        recipe = read_tables(content)
        tables = [with_protocol(recipe, table) for table in recipe.run]
        recipe = recipe.model_copy(update={"run": tables})
        if preset is not None:
            recipe = _with_preset(recipe, preset, changes)
        instead = _instead(recipe, data, backbone)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    name = path.stem if preset is None else f"{path.stem}:{preset}"
    runs: list[Run] = []
    named: dict[str, list[Run]] = {}
    for number, table in enumerate(recipe.run):
        try:
            made = _expand(recipe, table, name, instead)
            if table.init_from is not None:
                made = going_on(made, table.init_from, named)
            for run in made:
                check_network(run.network)
                run.settle_settings()
        except UsageError as error:  # what is misspelt is found before any work is done
            raise UsageError(f"{path}: run[{number}]: {error}") from error
        if table.name is not None:
            named.setdefault(table.name, []).extend(made)
        runs += made
    if not runs:
        raise UsageError(f"{path}: comes to no run at all: a list in it is empty")
    if not (preset or changes or data or backbone):
        _check_published(recipe.published, runs, str(path))
    different = {run.key: run for run in runs}
    return Plan(name, recipe.title, recipe.note.strip(), list(different.values()))


def _instead(recipe: Recipe, data: Given, backbone: Given) -> Instead:
    """Return what was given on the command line in place of what the recipe has."""
    sources = [_axis(table.data or recipe.data) for table in recipe.run]
    networks = [_axis(table.network) for table in recipe.run]
    instead = Instead.read(data, backbone, itertools.chain(*sources), itertools.chain(*networks))
    if instead.data is not None and all(table.data for table in recipe.run):
        own = sorted({Source.read(text).place for text in itertools.chain(*sources)})
        raise UsageError(f"--data {instead.data}: every run names its own data; say which one this "
                         f"stands in for: --data {own[0]}={instead.data}")  # fmt: skip
    return instead


def _with_preset(recipe: Recipe, name: str, changes: dict[str, Any]) -> Recipe:
    """Return the recipe as a preset has it; what ``--set`` says stands above that."""
    if name not in recipe.preset:
        raise UsageError(f"has no preset {name!r}{did_you_mean(name, recipe.preset)} "
                         f"Presets: {', '.join(recipe.preset) or 'none'}")  # fmt: skip
    content = _preset_put_in(recipe, recipe.preset[name]).model_dump(exclude_unset=True)
    put_in(content, {k: v for k, v in changes.items() if not is_of_preset(k)})
    return read_tables(content)


def _take_runs_of(content: dict[str, Any], preset: str | None) -> None:
    """Put a preset's own runs, where it has some, in the place of the recipe's."""
    presets = content.get("preset")
    own = presets.get(preset) if isinstance(presets, dict) else None
    if isinstance(own, dict) and own.get("run"):
        read_tables(content)  # of which the rest is left now
        content |= {"run": copy.deepcopy(own["run"]), "preset": {preset: own}}


def _preset_put_in(recipe: Recipe, preset: Preset) -> Recipe:
    heads = {h for table in recipe.run for h in _heads(table)}
    for head in preset.set.keys() - heads:
        raise UsageError(
            f"preset: set.{head} is for a head that no run has"
            f"{did_you_mean(head, heads)} Heads: {', '.join(sorted(heads))}"
        )
    if preset.train and all(table.blocks is None for table in recipe.run):
        raise UsageError("preset: train is for blocks, which no run has")
    given = preset.model_dump(exclude_unset=True)
    whole = {k: v for k, v in given.items() if k in ("data", "seeds", "limit", "tune", "shots")}
    if "seeds" in whole:
        whole["repeats"] = None
    runs = []
    for table in recipe.run:
        own: dict[str, Any] = dict.fromkeys(whole)  # the preset's word is the last one
        settings = {
            h: {**table.set.get(h, {}), **preset.set.get(h, {})}
            for h in table.set.keys() | (preset.set.keys() & set(_heads(table)))
        }
        train = {**table.train, **preset.train} if table.blocks is not None else {}
        if alone := preset.named.get(table.name or ""):
            settings |= {h: {**settings.get(h, {}), **values} for h, values in alone.set.items()}
            train |= alone.train
            if alone.seeds is not None:
                own |= {"seeds": alone.seeds, "repeats": None}
        runs.append(table.model_copy(update={**own, "set": settings, "train": train}))
    return recipe.model_copy(update={**whole, "run": runs})


def _expand(recipe: Recipe, table: RunTable, name: str, instead: Instead) -> list[Run]:
    """Return every combination of the axes of one ``[[run]]``."""
    if (table.head is None) == (table.blocks is None):
        raise UsageError("needs either head (on frozen features) or blocks (to train)")
    if table.blocks is not None and table.tune:
        raise UsageError("tune goes with head: a training schedule is not searched")
    if table.blocks is not None and (table.layers or table.search):
        raise UsageError("layers and search go with head, not with blocks")
    if table.head is not None and (table.train or table.warm_start):
        raise UsageError("train and warm_start go with blocks, not with head")
    if table.head is not None and table.init_seed is not None:
        raise UsageError("init_seed goes with blocks, not with head")
    heads = _heads(table)
    for key in ("set", "search"):
        for head in [h for h in getattr(table, key) if h not in heads]:
            raise UsageError(
                f"{key}.{head} is for a head that this run does not have{did_you_mean(head, heads)}"
            )
    runs = []
    for data, (network, weights), limit, precision, sample, seed in itertools.product(
        [instead.source(one, named_by_run=bool(table.data))
         for one in _axis(table.data or recipe.data)],
        dict.fromkeys(instead.network(*one) for one in
                      itertools.product(_axis(table.network), _axis(table.weights))),
        _axis(table.limit if table.limit is not None else recipe.limit),
        _axis(table.precision or recipe.precision), _samples(recipe, table),
        _seeds(recipe, table),
    ):  # fmt: skip
        shared = {
            "data": data,
            "network": network,
            "weights": weights,
            "limit": limit,
            "precision": precision,
            "sample": sample,
            "seed": seed,
            "split_seed": recipe.split_seed,
            "recipe": name,
            "name": table.name or "",
        }
        if table.blocks is not None:
            for blocks, warm_start in itertools.product(
                _axis(table.blocks), _axis(table.warm_start)
            ):
                own = create_head(warm_start).get_params(deep=False) if warm_start else {}
                start = table.set.get(warm_start, {}) if warm_start else {}
                for settings, warm_settings in itertools.product(
                    _grid(table.train, "train", vars(Schedule())),
                    _grid(start, f"set.{warm_start}", own),
                ):
                    runs.append(
                        Run(
                            blocks=blocks,
                            warm_start=warm_start,
                            warm_start_settings=warm_settings,
                            settings=settings,
                            init_seed=table.init_seed,
                            **shared,
                        )
                    )
        for layer, head in itertools.product(
            layers_to_sweep(network, table.layers), heads if table.blocks is None else []
        ):
            known = create_head(head).get_params(deep=False)
            for settings in _grid(table.set.get(head, {}), f"set.{head}", known):
                selection = _selection(recipe, table, head, settings)
                own = {"head": head, "settings": settings, "selection": selection, "layer": layer}
                runs.append(Run(**own, **shared))
    return [_with_published(run, recipe.published) for run in runs]


def _selection(recipe: Recipe, table: RunTable, head: str, settings: dict[str, Any]) -> Selection:
    """Return how a head's settings are chosen: the run's own word, else the recipe's."""
    own = {name: _own_or(recipe, table, name) for name in ("tune", "folds", "validation")}
    space = table.search.get(head, {})
    check_keys(space, create_head(head).get_params(deep=False), f"search.{head}")
    if twice := [name for name in space if name in settings]:
        raise UsageError(f"{twice[0]} of {head} is both set and searched: do one")
    if space and not own["tune"]:
        raise UsageError(f"search.{head} goes with tune, such as tune = 'grid'")
    if not own["tune"] or not left_to_search(head, settings, own=space):  # nothing to choose
        return Selection()
    own["space"] = space
    return Selection(**own)


def _own_or(recipe: Recipe, table: RunTable, name: str) -> Any:
    """Return the run's own word, else the recipe's."""
    own = getattr(table, name)
    return getattr(recipe, name) if own is None else own


def _seeds(recipe: Recipe, table: RunTable) -> list[int]:
    """Return the run's seeds; so many repeats are seeds from 0 on."""
    holder = recipe if table.seeds is None and table.repeats is None else table
    if holder.repeats is None:
        return holder.seeds or recipe.seeds
    if {"seeds", "repeats"} <= holder.model_fields_set:
        raise UsageError(f"repeats = {holder.repeats} stands for seeds from 0 on: give it or seeds")
    return list(range(holder.repeats))


def _samples(recipe: Recipe, table: RunTable) -> list[Sample]:
    """Return what of the data runs learn from, an axis."""
    axes = [_axis(_own_or(recipe, table, name)) for name in ("shots", "n_train", "n_val")]
    return [Sample(*values) for values in itertools.product(*axes)]


def _heads(table: RunTable) -> list[str]:
    """Return the heads that a run fits: its own, or its warm starts."""
    return [name for name in (*_axis(table.head), *_axis(table.warm_start)) if name is not None]


def _axis(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _grid(settings: dict[str, Any], where: str, known: Any) -> list[dict[str, Any]]:
    """Return every combination; an axis of a setting that is itself a list is a list of lists."""
    axes = []
    check_keys(settings, known, where)
    for key, value in settings.items():
        is_list = isinstance(known[key], tuple | list)
        plain = not isinstance(value, list) or (
            is_list and not any(isinstance(v, list) for v in value)
        )
        axes.append([value] if plain else value)
    return [dict(zip(settings, values, strict=True)) for values in itertools.product(*axes)]


def _with_published(run: Run, figures: list[Published]) -> Run:
    for figure in figures:
        if _is_of(figure, run):
            published = {"test_accuracy": figure.test_accuracy, "source": figure.source}
            return replace(run, published=published)
    return run


def _is_of(figure: Published, run: Run) -> bool:
    described = {**run.as_dict(), "method": run.method}
    return all(_as_text(described.get(k)) == _as_text(v) for k, v in figure.match.items())


def _as_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)  # TOML has dates


def _check_published(figures: list[Published], runs: list[Run], where: str) -> None:
    """Raise UsageError for a figure that stands beside no run: a value in it is misspelt."""
    for number, figure in enumerate(figures):
        if not any(_is_of(figure, run) for run in runs):
            raise UsageError(f"{where}: published[{number}].match={figure.match!r}: no run is so")
