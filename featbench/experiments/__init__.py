"""A recipe becomes a grid of runs, and every run a flat Result."""

from featbench.experiments._project import (
    Choice,
    Settled,
    remember_extraction,
    settle,
    write_project,
)
from featbench.experiments._recipe import Plan, load_recipe, parse_changes
from featbench.experiments._result import Predictions, Result, ResultStore, load_results
from featbench.experiments._run import FINE_TUNE, Run
from featbench.experiments._session import Session

__all__ = [
    "FINE_TUNE",
    "Choice",
    "Plan",
    "Predictions",
    "Result",
    "ResultStore",
    "Run",
    "Session",
    "Settled",
    "load_recipe",
    "load_results",
    "parse_changes",
    "remember_extraction",
    "settle",
    "write_project",
]
