"""What the shell completes after Tab: names, run ids and values, without importing torch."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from featbench.errors import FeatbenchError

Found = list[str | tuple[str, str]]


def _beginning(names: Iterable[str], incomplete: str) -> Found:
    return [name for name in names if name.startswith(incomplete)]


def values(*known: str) -> Callable[[str], Found]:
    """Return what completes an option that takes one of these values."""

    def complete(incomplete: str) -> Found:
        return _beginning(known, incomplete)

    return complete


def known_values(option: str) -> Callable[[str], Found]:
    """Return what completes an option whose values the rooms below name."""

    def complete(incomplete: str) -> Found:
        from featbench.cli._names_file import known_names

        return _beginning(known_names()["values"][option], incomplete)

    return complete


def networks(incomplete: str) -> Found:
    """Complete a network's name."""
    from featbench.cli._names_file import known_names

    return _beginning(known_names()["networks"], incomplete)


def heads(incomplete: str) -> Found:
    """Complete a head's name, or ``all``."""
    from featbench.cli._names_file import known_names

    return _beginning([*known_names()["heads"], "all"], incomplete)


def starts(incomplete: str) -> Found:
    """Complete the name of a head that a training may start from."""
    return [name for name in heads(incomplete) if name != "all"]


def data(incomplete: str) -> Found:
    """Complete a data set's name; where none begins so, the shell completes a file's."""
    from featbench.datasets import DATASETS

    return _beginning(DATASETS, incomplete)


def head_settings(context: typer.Context, incomplete: str) -> Found:
    """Complete a setting of the head that is named earlier on the line: ``C=``."""
    from featbench.cli._names_file import known_names

    of_heads: dict[str, list[str]] = known_names()["heads"]
    named = context.params.get("head")
    chosen = [of_heads[named]] if named in of_heads else list(of_heads.values())
    return _beginning(sorted({f"{name}=" for names in chosen for name in names}), incomplete)


def training_settings(incomplete: str) -> Found:
    """Complete a setting of training: ``momentum=``."""
    from featbench.cli._names_file import known_names

    return _beginning([f"{name}=" for name in known_names()["training"]], incomplete)


def runs(context: typer.Context, incomplete: str) -> Found:
    """Complete a run's id, the newest first, each with what it is."""
    return [
        (result.run_id, f"{result.dataset} · {result.network} · {result.method}")
        for result in reversed(_results(context))
        if result.run_id.startswith(incomplete)
    ]


def recipes(context: typer.Context, incomplete: str) -> Found:
    """Complete the name of a recipe that there are results of."""
    names = {result.recipe for result in _results(context) if result.recipe}
    return _beginning(sorted(names), incomplete)


def presets(context: typer.Context, incomplete: str) -> Found:
    """Complete a preset of the recipe that is named earlier on the line."""
    import tomllib

    try:
        (path,) = context.args  # while completing, arguments are not taken from here yet
        recipe = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []  # no recipe yet, or none that can be read: `run` says why
    named = recipe.get("preset")
    return _beginning(named if isinstance(named, dict) else (), incomplete)


def table_columns(incomplete: str) -> Found:
    """Complete the last of several column names, joined by commas."""
    from featbench.report import COLUMNS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning(COLUMNS, last)]


def _results(context: typer.Context) -> list[Any]:
    """Return the results that the command would read; none where they cannot be read."""
    from featbench.experiments import Choice, ResultStore, settle

    asked = context.params.get("results")
    try:
        folder = settle(Choice(results=str(asked) if asked else None), remember=False).results
        return ResultStore(folder, leave_out=True).all()
    except FeatbenchError:
        return []  # the command itself says what is wrong; a shell's prompt is no place for it
