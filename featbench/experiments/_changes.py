"""``--set path.to.key=value``: what is typed, and where it goes in a recipe."""

import tomllib
from typing import Any

from featbench.errors import UsageError, did_you_mean


def parse_changes(texts: list[str]) -> dict[str, Any]:
    """Turn ``path.to.key=value`` texts into a dictionary.

    Parameters
    ----------
    texts : list of str
        Values are TOML, else plain text.

    Raises
    ------
    UsageError
        When a text has no ``=``.
    """
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {text}: expected name=value")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            if value.strip().startswith(("[", "{", '"', "'")):
                raise UsageError(
                    f"--set {text}: is not TOML; texts in lists and tables have quotes, such as "
                    '["a", "b"], and the shell needs \'…\' around the whole'
                ) from None
            changes[key.strip()] = {"None": None}.get(value.strip(), value.strip())
    return changes


def is_of_preset(dotted: str) -> bool:
    """Say whether a path leads into a preset."""
    return dotted.startswith("preset.")


def put_in(content: dict[str, Any], changes: dict[str, Any], preset: str | None = None) -> None:
    """Set values at their places in what a recipe's file holds.

    Parameters
    ----------
    content : dict
        Is changed.
    changes : dict of str to Any
        Values by dotted paths.
    preset : str, optional
        The one that is used: another one is not there to be changed.

    Raises
    ------
    UsageError
        For a place that there is not, or of a preset that is not there or not used.
    """
    for dotted, value in changes.items():
        if is_of_preset(dotted):
            _check_preset(content.get("preset", {}), dotted, preset)
        _put_in(content, dotted, value)


def _check_preset(known: Any, dotted: str, preset: str | None) -> None:
    name = dotted.split(".")[1]
    if not isinstance(known, dict):
        return  # which is told when the recipe is read
    if name not in known:
        raise UsageError(
            f"--set {dotted}: the recipe has no preset {name!r}{did_you_mean(name, known)} "
            f"Presets: {', '.join(known) or 'none'}"
        )
    if name != preset:
        raise UsageError(f"--set {dotted}: changes nothing without --preset {name}")


def _put_in(content: dict[str, Any], dotted: str, value: Any) -> None:
    here: Any = content
    *parents, last = dotted.split(".")
    try:
        for part in parents:
            here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
        here[int(last) if isinstance(here, list) else last] = value
    except (IndexError, ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"--set {dotted}: the recipe has no such place") from error
