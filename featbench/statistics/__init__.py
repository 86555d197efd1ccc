"""What can be said of methods that were measured on the same finite test split."""

from typing import TYPE_CHECKING

from featbench.lazy import exporter

if TYPE_CHECKING:
    from featbench.statistics._bootstrap import Interval as Interval
    from featbench.statistics._bootstrap import bootstrap_interval as bootstrap_interval
    from featbench.statistics._bootstrap import mean_interval as mean_interval
    from featbench.statistics._compare import Comparison as Comparison
    from featbench.statistics._compare import Method as Method
    from featbench.statistics._compare import MethodRun as MethodRun
    from featbench.statistics._compare import Standing as Standing
    from featbench.statistics._compare import compare as compare
    from featbench.statistics._holm import holm as holm
    from featbench.statistics._labels_needed import LabelsNeeded as LabelsNeeded
    from featbench.statistics._labels_needed import labels_needed as labels_needed
    from featbench.statistics._letters import compact_letters as compact_letters
    from featbench.statistics._metrics import METRICS as METRICS
    from featbench.statistics._metrics import accuracy_interval as accuracy_interval
    from featbench.statistics._metrics import calibration_interval as calibration_interval
    from featbench.statistics._metrics import log_loss_interval as log_loss_interval
    from featbench.statistics._metrics import metric_interval as metric_interval
    from featbench.statistics._paired import mcnemar as mcnemar
    from featbench.statistics._paired import sign_flip_test as sign_flip_test
    from featbench.statistics._ranks import Friedman as Friedman
    from featbench.statistics._ranks import critical_difference as critical_difference
    from featbench.statistics._ranks import friedman as friedman
    from featbench.statistics._ranks import mean_ranks as mean_ranks
    from featbench.statistics._ranks import rank_groups as rank_groups
    from featbench.statistics._runs import Seeded as Seeded
    from featbench.statistics._runs import paired_p_value as paired_p_value
    from featbench.statistics._t_interval import t_interval as t_interval
    from featbench.statistics._wilson import wilson_interval as wilson_interval

_HOMES = {
    "Seeded": "_runs",
    "Comparison": "_compare",
    "Friedman": "_ranks",
    "Interval": "_bootstrap",
    "LabelsNeeded": "_labels_needed",
    "METRICS": "_metrics",
    "Method": "_compare",
    "MethodRun": "_compare",
    "Standing": "_compare",
    "accuracy_interval": "_metrics",
    "bootstrap_interval": "_bootstrap",
    "calibration_interval": "_metrics",
    "compact_letters": "_letters",
    "compare": "_compare",
    "critical_difference": "_ranks",
    "friedman": "_ranks",
    "holm": "_holm",
    "labels_needed": "_labels_needed",
    "log_loss_interval": "_metrics",
    "mcnemar": "_paired",
    "mean_interval": "_bootstrap",
    "mean_ranks": "_ranks",
    "metric_interval": "_metrics",
    "paired_p_value": "_runs",
    "rank_groups": "_ranks",
    "sign_flip_test": "_paired",
    "t_interval": "_t_interval",
    "wilson_interval": "_wilson",
}

__all__ = sorted(_HOMES)

__getattr__ = exporter(__name__, _HOMES)
