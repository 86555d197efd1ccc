"""The language of recipes: its tables and keys; an unknown one is named with the nearest."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from featbench.errors import UsageError, did_you_mean
from featbench.experiments._run import Run
from featbench.finetune import Schedule
from featbench.heads import HEADS, create_head

OneOrMore = str | list[str]
_Count = Annotated[int, Field(ge=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as numpy and scikit-learn take them
_Blocks = Annotated[int, Field(ge=0)] | str


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)  # true is no number, "1" neither


class RunTable(_Table):
    """One ``[[run]]``: every list is an axis, ``name`` is what a later ``init_from`` calls it."""

    data: OneOrMore | None = None
    network: OneOrMore
    weights: OneOrMore = "default"
    head: OneOrMore | None = None
    blocks: _Blocks | list[_Blocks] | None = None
    warm_start: OneOrMore | None = None
    name: str | None = None
    init_from: str | None = None
    set: dict[str, dict[str, Any]] = {}
    train: dict[str, Any] = {}
    seeds: list[_Seed] | None = None
    limit: _Count | list[_Count] | None = None
    precision: OneOrMore | None = None
    tune: int | str | None = None
    folds: int | None = None
    validation: float | None = None
    protocol: str | None = None
    search: dict[str, dict[str, list[Any]]] = {}
    shots: int | list[int] | None = None
    n_train: int | list[int] | None = None
    n_val: int | None = None
    repeats: int | None = Field(default=None, ge=1)
    layers: OneOrMore | None = None
    init_seed: int | None = None


class NamedRun(_Table):
    """One ``[preset.NAME.named.RUN]``: what a preset changes in the run of that name alone."""

    seeds: list[_Seed] | None = None
    set: dict[str, dict[str, Any]] = {}
    train: dict[str, Any] = {}


class Preset(_Table):
    """One ``[preset.NAME]``: what it changes, in the recipe and in every run.

    ``run`` are runs in place of the recipe's own.
    """

    data: OneOrMore | None = None
    seeds: list[_Seed] | None = None
    limit: _Count | list[_Count] | None = None
    tune: int | str | None = None
    shots: int | list[int] | None = None
    set: dict[str, dict[str, Any]] = {}
    train: dict[str, Any] = {}
    named: dict[str, NamedRun] = {}
    run: list[RunTable] = []


class Published(_Table):
    """One ``[[published]]``: a figure from a paper or report, for the runs that match."""

    match: dict[str, Any]
    test_accuracy: float = Field(ge=0, le=1)
    source: str


class Recipe(_Table):
    """A whole recipe."""

    tables: ClassVar[dict[str, type[_Table]]] = {
        "run": RunTable, "preset": Preset, "published": Published,
    }  # fmt: skip

    title: str = ""
    note: str = ""
    data: OneOrMore = "digits"
    seeds: list[_Seed] = [0]
    split_seed: int = 0
    limit: _Count | list[_Count] | None = None
    precision: OneOrMore = "float32"
    tune: int | str = 0
    folds: int | None = None
    validation: float | None = None
    protocol: str | None = None
    shots: int | list[int] | None = None
    n_train: int | list[int] | None = None
    n_val: int | None = None
    repeats: int | None = Field(default=None, ge=1)
    run: list[RunTable] = Field(min_length=1)
    preset: dict[str, Preset] = {}
    published: list[Published] = []


def read_tables(content: dict[str, Any]) -> Recipe:
    """Check what a recipe's file holds, the presets that are not asked for among it.

    Parameters
    ----------
    content : dict
        As TOML was read.

    Raises
    ------
    UsageError
        For a key or value that is not known: its path, and the nearest known key.
    """
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(_explain(error, content)) from error
    for name, preset in recipe.preset.items():
        _check_settings(preset, f"preset.{name}")
        runs = [run.name for run in preset.run or recipe.run if run.name]
        check_keys(preset.named, runs, f"preset.{name}.named")
        for one, own in preset.named.items():
            _check_settings(own, f"preset.{name}.named.{one}")
    described = [*(field.name for field in fields(Run)), "method"]
    for number, figure in enumerate(recipe.published):
        check_keys(figure.match, described, f"published[{number}].match")
    return recipe


def _check_settings(table: Preset | NamedRun, where: str) -> None:
    check_keys(table.train, vars(Schedule()), f"{where}.train")
    check_keys(table.set, HEADS, f"{where}.set")
    for head, settings in table.set.items():
        known = create_head(head).get_params(deep=False)
        check_keys(settings, known, f"{where}.set.{head}")


def check_keys(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise UsageError for a key that is not known, with its place and the nearest.

    Parameters
    ----------
    given, known : iterable of str
        Keys.
    where : str
        The table's place in the recipe.
    """
    known = list(known)
    for key in given:
        if key not in known:
            raise UsageError(f"unknown key {where}.{key}{did_you_mean(key, known)} "
                             f"Known: {', '.join(known)}")  # fmt: skip


def _holder(place: tuple[int | str, ...]) -> type[_Table]:
    """Return the table that a key's place is in."""
    words = [str(word) for word in place[:-1]]
    if words[:1] == ["preset"] and "run" in words[2:3]:
        return RunTable
    if words[:1] == ["preset"] and "named" in words[2:3]:
        return NamedRun
    return Recipe.tables.get(words[0], Recipe) if words else Recipe


def _explain(error: ValidationError, content: dict[str, Any]) -> str:
    """Say what is wrong with the first bad key, where it is, and what was expected."""
    found = error.errors()
    unknown = next((e for e in found if e["type"] == "extra_forbidden"), None)
    if unknown is not None:
        whole = unknown["loc"]
        holder = _holder(whole)
        key = str(whole[-1])
        return (
            f"unknown key {_path(whole)}{did_you_mean(key, holder.model_fields)} "
            f"Known: {', '.join(holder.model_fields)}"
        )
    if found[0]["type"] == "missing":
        return f"{_path(found[0]['loc'])}: is missing"
    places = [_place(e["loc"], content) for e in found]
    deepest = max((p for p in places if p[: len(places[0])] == places[0]), key=len)
    there = [e for e, p in zip(found, places, strict=True) if p == deepest]
    there = [e for e in there if not e["type"].endswith("_type")] or there
    *most, last = dict.fromkeys(map(_expected, there))
    expected = f"{', '.join(most)} or {last}" if most else last
    value = _value(deepest, content)
    if isinstance(value, dict) and deepest[0] in Recipe.tables and len(deepest) == 1:
        expected += f" of tables: write [[{deepest[0]}]]"
    return f"{_path(deepest)}={value!r}: expected {expected}"


def _expected(error: ErrorDetails) -> str:
    """Return what would have been right, in the words of this project."""
    kind, branch = error["type"], str(error["loc"][-1])
    if kind == "list_type":
        of = {"list[str]": " of texts", "list[int]": " of whole numbers",
              "list[constrained-int]": " of whole numbers"}  # fmt: skip
        return f"a list{of.get(branch, '')}"
    limits = error.get("ctx", {})
    words = {
        "int_type": "a whole number", "string_type": "a text", "float_type": "a number",
        "dict_type": "a table", "model_type": "a table", "too_short": "at least one",
        "greater_than_equal": f"{limits.get('ge')} or more",
        "less_than": f"less than {limits.get('lt')}",
        "less_than_equal": f"{limits.get('le')} or less",
    }  # fmt: skip
    return words.get(kind, error["msg"])


def _place(where: Sequence[int | str], content: Any) -> tuple[int | str, ...]:
    """Return the keys on the way to a value, without the names of the types that were tried."""
    place: list[int | str] = []
    for part in where:
        inside = isinstance(content, dict) and part in content
        if inside or (isinstance(content, list) and isinstance(part, int)):
            content = content[part]
            place.append(part)
    return tuple(place)


def _path(place: Iterable[int | str]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")


def _value(place: Iterable[int | str], content: Any) -> Any:
    for part in place:
        content = content[part]
    return content
