"""Results become tables, pictures and one HTML page."""

from featbench.report._page import write_report
from featbench.report._statistics import wilson_interval
from featbench.report._table import FORMATS, as_csv, as_json, as_markdown, footnote

__all__ = [
    "FORMATS",
    "as_csv",
    "as_json",
    "as_markdown",
    "footnote",
    "wilson_interval",
    "write_report",
]
