"""Results become tables, pictures and one HTML page."""

from typing import TYPE_CHECKING

from featbench.lazy import exporter

if TYPE_CHECKING:
    from featbench.report._columns import COLUMNS as COLUMNS
    from featbench.report._columns import Column as Column
    from featbench.report._comparison import Compared as Compared
    from featbench.report._comparison import compare_results as compare_results
    from featbench.report._confusion import Confusion as Confusion
    from featbench.report._confusion import Mistake as Mistake
    from featbench.report._confusion import confusion_of as confusion_of
    from featbench.report._confusion import draw_confusion as draw_confusion
    from featbench.report._curves import Curve as Curve
    from featbench.report._curves import curves_of as curves_of
    from featbench.report._curves import draw_curves as draw_curves
    from featbench.report._drawing import as_svg as as_svg
    from featbench.report._drawing import check_picture as check_picture
    from featbench.report._drawing import save_figure as save_figure
    from featbench.report._embedding import Plane as Plane
    from featbench.report._embedding import draw_embedding as draw_embedding
    from featbench.report._embedding import plane_method as plane_method
    from featbench.report._embedding import project as project
    from featbench.report._few_shot_picture import draw_few_shots as draw_few_shots
    from featbench.report._few_shots import FewShotCurve as FewShotCurve
    from featbench.report._few_shots import few_shot_curves as few_shot_curves
    from featbench.report._few_shots import few_shot_key as few_shot_key
    from featbench.report._few_shots import fraction_of as fraction_of
    from featbench.report._formats import FOR_PROGRAMS as FOR_PROGRAMS
    from featbench.report._formats import FORMATS as FORMATS
    from featbench.report._formats import as_csv as as_csv
    from featbench.report._formats import as_json as as_json
    from featbench.report._html_table import as_html as as_html
    from featbench.report._html_table import html_grid as html_grid
    from featbench.report._image_sheets import draw_grid as draw_grid
    from featbench.report._image_sheets import draw_predictions as draw_predictions
    from featbench.report._image_sheets import draw_views as draw_views
    from featbench.report._labels_table import labels_needed_table as labels_needed_table
    from featbench.report._latex import as_latex as as_latex
    from featbench.report._layers import LayerSweep as LayerSweep
    from featbench.report._layers import draw_layers as draw_layers
    from featbench.report._layers import layer_sweep_key as layer_sweep_key
    from featbench.report._layers import layer_sweeps as layer_sweeps
    from featbench.report._markdown import as_markdown as as_markdown
    from featbench.report._names import label_of as label_of
    from featbench.report._names import labels_among as labels_among
    from featbench.report._names import method_name as method_name
    from featbench.report._of_recipe import results_of as results_of
    from featbench.report._page import write_report as write_report
    from featbench.report._reliability import Reliability as Reliability
    from featbench.report._reliability import ReliabilityLine as ReliabilityLine
    from featbench.report._reliability import draw_reliability as draw_reliability
    from featbench.report._reliability import reliability as reliability
    from featbench.report._reliability import reliability_lines as reliability_lines
    from featbench.report._rows import Row as Row
    from featbench.report._sparsity_bars import draw_sparsity as draw_sparsity
    from featbench.report._sparsity_bars import sparsity_table as sparsity_table
    from featbench.report._speed import COSTS as COSTS
    from featbench.report._speed import draw_speed as draw_speed
    from featbench.report._table import Section as Section
    from featbench.report._table import Table as Table
    from featbench.report._table import make_table as make_table
    from featbench.report._wrong import Case as Case
    from featbench.report._wrong import cases_of as cases_of
    from featbench.report._wrong import open_images as open_images
    from featbench.report._wrong import reader_of as reader_of

_HOMES = {
    "COSTS": "_speed",
    "Case": "_wrong",
    "COLUMNS": "_columns",
    "Column": "_columns",
    "Compared": "_comparison",
    "Confusion": "_confusion",
    "Curve": "_curves",
    "FORMATS": "_formats",
    "FOR_PROGRAMS": "_formats",
    "Mistake": "_confusion",
    "Plane": "_embedding",
    "Reliability": "_reliability",
    "ReliabilityLine": "_reliability",
    "Row": "_rows",
    "Section": "_table",
    "Table": "_table",
    "as_csv": "_formats",
    "as_html": "_html_table",
    "as_json": "_formats",
    "as_latex": "_latex",
    "as_markdown": "_markdown",
    "as_svg": "_drawing",
    "cases_of": "_wrong",
    "check_picture": "_drawing",
    "compare_results": "_comparison",
    "confusion_of": "_confusion",
    "curves_of": "_curves",
    "draw_confusion": "_confusion",
    "draw_curves": "_curves",
    "draw_embedding": "_embedding",
    "draw_grid": "_image_sheets",
    "draw_predictions": "_image_sheets",
    "draw_reliability": "_reliability",
    "draw_sparsity": "_sparsity_bars",
    "draw_speed": "_speed",
    "draw_views": "_image_sheets",
    "html_grid": "_html_table",
    "FewShotCurve": "_few_shots",
    "few_shot_curves": "_few_shots",
    "LayerSweep": "_layers",
    "few_shot_key": "_few_shots",
    "layer_sweep_key": "_layers",
    "draw_layers": "_layers",
    "layer_sweeps": "_layers",
    "labels_needed_table": "_labels_table",
    "draw_few_shots": "_few_shot_picture",
    "fraction_of": "_few_shots",
    "label_of": "_names",
    "labels_among": "_names",
    "make_table": "_table",
    "method_name": "_names",
    "open_images": "_wrong",
    "plane_method": "_embedding",
    "project": "_embedding",
    "reader_of": "_wrong",
    "reliability": "_reliability",
    "reliability_lines": "_reliability",
    "results_of": "_of_recipe",
    "save_figure": "_drawing",
    "sparsity_table": "_sparsity_bars",
    "write_report": "_page",
}

__all__ = sorted(_HOMES)

__getattr__ = exporter(__name__, _HOMES)
