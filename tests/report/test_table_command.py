"""The command that prints tables, and how a setting is shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.experiments import ResultStore
from featbench.report import as_csv, as_json, make_table
from featbench.report._names import plain_value
from tests.conftest import Said
from tests.report.test_table import save


def test_the_command(featbench: Callable[..., Said], tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    save(store, 1, 300, recipe="a")
    save(store, 2, 200, recipe="b", method="knn")
    assert "frozen + logreg" in featbench("table").out
    only = featbench("table", "--recipe", "b", "--format", "json")
    assert [row["method"] for row in json.loads(only.out)] == ["knn"]
    assert "read by 1 run" in only.err
    options = ("--columns", "head,test_accuracy", "--sort", "test_accuracy", "--format", "csv")
    said = featbench("table", "results", *options)
    assert said.out.splitlines()[0].startswith("method,description,test_accuracy")
    wrong = featbench("table", "--sort", "accurcy")
    assert wrong.code == 2
    assert "--sort: no column 'accurcy'" in wrong.err


@pytest.mark.parametrize("command", [("table",), ("table", "--json"), ("report",),
                                     ("plot", "speed"), ("plot", "curves")])  # fmt: skip
def test_a_recipe_of_which_there_is_no_run_is_an_error_that_names_the_nearest(
    command: tuple[str, ...], featbench: Callable[..., Said], tmp_path: Path
) -> None:
    store = ResultStore(tmp_path / "results")
    save(store, 1, 300, recipe="study")
    save(store, 2, 300, recipe="few")
    said = featbench(*command, "--recipe", "studdy")
    assert (said.code, said.out) == (2, "")
    error = said.err.replace("\n", " ")
    assert "--recipe studdy: results has no such runs; did you mean 'study'?" in error
    assert "Recipes there: few, study" in error


def test_nothing_is_an_empty_list_for_programs(tmp_path: Path) -> None:
    table = make_table(ResultStore(tmp_path), [])
    assert json.loads(as_json(table)) == []
    assert as_csv(table).startswith("dataset,network,weights,cut,method,")


def test_a_setting_that_is_a_list_is_shown_as_it_is_typed() -> None:
    assert plain_value(["rotate=10", "rotate=20"]) == "rotate=10,rotate=20"
    assert plain_value([256, 128]) == "256,128"
    assert (plain_value(0.5), plain_value(None), plain_value("rbf")) == ("0.5", "none", "rbf")
