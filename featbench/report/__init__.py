"""Results become tables, pictures and one HTML page."""

from typing import TYPE_CHECKING

from featbench.lazy import exporter

if TYPE_CHECKING:
    from featbench.report._comparison import Compared as Compared
    from featbench.report._comparison import compare_results as compare_results
    from featbench.report._curves import Curve as Curve
    from featbench.report._curves import curves_of as curves_of
    from featbench.report._curves import draw_curves as draw_curves
    from featbench.report._drawing import as_svg as as_svg
    from featbench.report._drawing import check_picture as check_picture
    from featbench.report._drawing import save_figure as save_figure
    from featbench.report._few_shots import FewShotCurve as FewShotCurve
    from featbench.report._few_shots import few_shot_curves as few_shot_curves
    from featbench.report._few_shots import labels_needed_table as labels_needed_table
    from featbench.report._names import label_of as label_of
    from featbench.report._names import labels_among as labels_among
    from featbench.report._names import method_name as method_name
    from featbench.report._page import write_report as write_report
    from featbench.report._sparsity_bars import draw_sparsity as draw_sparsity
    from featbench.report._sparsity_bars import sparsity_table as sparsity_table
    from featbench.report._table import FORMATS as FORMATS
    from featbench.report._table import as_csv as as_csv
    from featbench.report._table import as_json as as_json
    from featbench.report._table import as_markdown as as_markdown
    from featbench.report._table import footnote as footnote

_HOMES = {
    "Curve": "_curves",
    "FORMATS": "_table",
    "as_csv": "_table",
    "as_json": "_table",
    "as_markdown": "_table",
    "as_svg": "_drawing",
    "check_picture": "_drawing",
    "curves_of": "_curves",
    "draw_curves": "_curves",
    "draw_sparsity": "_sparsity_bars",
    "FewShotCurve": "_few_shots",
    "few_shot_curves": "_few_shots",
    "footnote": "_table",
    "labels_needed_table": "_few_shots",
    "label_of": "_names",
    "labels_among": "_names",
    "method_name": "_names",
    "save_figure": "_drawing",
    "sparsity_table": "_sparsity_bars",
    "Compared": "_comparison",
    "compare_results": "_comparison",
    "write_report": "_page",
}

__all__ = sorted(_HOMES)

__getattr__ = exporter(__name__, _HOMES)
