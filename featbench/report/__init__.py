"""Results become tables, pictures and one HTML page."""

from typing import TYPE_CHECKING

from featbench.lazy import exporter

if TYPE_CHECKING:
    from featbench.report._comparison import Compared as Compared
    from featbench.report._comparison import compare_results as compare_results
    from featbench.report._page import write_report as write_report
    from featbench.report._table import FORMATS as FORMATS
    from featbench.report._table import as_csv as as_csv
    from featbench.report._table import as_json as as_json
    from featbench.report._table import as_markdown as as_markdown
    from featbench.report._table import footnote as footnote

_HOMES = {
    "FORMATS": "_table",
    "as_csv": "_table",
    "as_json": "_table",
    "as_markdown": "_table",
    "footnote": "_table",
    "Compared": "_comparison",
    "compare_results": "_comparison",
    "write_report": "_page",
}

__all__ = sorted(_HOMES)

__getattr__ = exporter(__name__, _HOMES)
