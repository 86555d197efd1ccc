"""The command line: parse, call, print. No logic, and no heavy import before its time."""

from featbench.cli import _cache as _cache
from featbench.cli import _data as _data
from featbench.cli import _doctor as _doctor
from featbench.cli import _fit as _fit
from featbench.cli import _look as _look
from featbench.cli import _plot as _plot
from featbench.cli import _plot_data as _plot_data
from featbench.cli import _plot_runs as _plot_runs
from featbench.cli import _plot_sweeps as _plot_sweeps
from featbench.cli import _predict as _predict
from featbench.cli import _work as _work
from featbench.cli._app import app, main

__all__ = ["app", "main"]
