"""A recipe becomes a grid of runs, and every run a flat Result."""

from typing import TYPE_CHECKING

from featbench.lazy import exporter

if TYPE_CHECKING:
    from featbench.experiments._answers import Answers as Answers
    from featbench.experiments._changes import parse_changes as parse_changes
    from featbench.experiments._doctor import Finding as Finding
    from featbench.experiments._doctor import check_up as check_up
    from featbench.experiments._feature_table import FeatureTable as FeatureTable
    from featbench.experiments._features_file import load_features as load_features
    from featbench.experiments._forecast import Forecast as Forecast
    from featbench.experiments._forecast import forecast as forecast
    from featbench.experiments._method_key import method_key as method_key
    from featbench.experiments._mlflow import MLflow as MLflow
    from featbench.experiments._model import SavedModel as SavedModel
    from featbench.experiments._model import find_model as find_model
    from featbench.experiments._model import find_trained as find_trained
    from featbench.experiments._model import find_weights as find_weights
    from featbench.experiments._model import load_model as load_model
    from featbench.experiments._model import save_model as save_model
    from featbench.experiments._prediction_table import PredictionTable as PredictionTable
    from featbench.experiments._prediction_table import load_predictions as load_predictions
    from featbench.experiments._project import Choice as Choice
    from featbench.experiments._project import Settled as Settled
    from featbench.experiments._project import remember_extraction as remember_extraction
    from featbench.experiments._project import settle as settle
    from featbench.experiments._project import with_backbone as with_backbone
    from featbench.experiments._project import write_project as write_project
    from featbench.experiments._recipe import Plan as Plan
    from featbench.experiments._recipe import load_recipe as load_recipe
    from featbench.experiments._result import FINE_TUNE as FINE_TUNE
    from featbench.experiments._result import FROM_PIXELS as FROM_PIXELS
    from featbench.experiments._result import FROZEN as FROZEN
    from featbench.experiments._result import Predictions as Predictions
    from featbench.experiments._result import Result as Result
    from featbench.experiments._result import ResultStore as ResultStore
    from featbench.experiments._result_frame import load_results as load_results
    from featbench.experiments._run import Run as Run
    from featbench.experiments._run_network import network_of as network_of
    from featbench.experiments._runner import carry_out as carry_out
    from featbench.experiments._selection import Selection as Selection
    from featbench.experiments._session import Session as Session
    from featbench.experiments._trained_model import TrainedModel as TrainedModel
    from featbench.experiments._unfinished import Unfinished as Unfinished
    from featbench.experiments._unfinished import remove_unfinished as remove_unfinished
    from featbench.experiments._unfinished import unfinished as unfinished

_HOMES = {
    "Answers": "_answers",
    "Choice": "_project",
    "FINE_TUNE": "_result",
    "FROM_PIXELS": "_result",
    "FROZEN": "_result",
    "FeatureTable": "_feature_table",
    "Finding": "_doctor",
    "Forecast": "_forecast",
    "MLflow": "_mlflow",
    "Plan": "_recipe",
    "PredictionTable": "_prediction_table",
    "Predictions": "_result",
    "Result": "_result",
    "ResultStore": "_result",
    "Run": "_run",
    "SavedModel": "_model",
    "Selection": "_selection",
    "Session": "_session",
    "Settled": "_project",
    "TrainedModel": "_trained_model",
    "Unfinished": "_unfinished",
    "carry_out": "_runner",
    "check_up": "_doctor",
    "find_model": "_model",
    "find_trained": "_model",
    "find_weights": "_model",
    "forecast": "_forecast",
    "load_features": "_features_file",
    "load_model": "_model",
    "load_predictions": "_prediction_table",
    "load_recipe": "_recipe",
    "load_results": "_result_frame",
    "method_key": "_method_key",
    "network_of": "_run_network",
    "parse_changes": "_changes",
    "remember_extraction": "_project",
    "remove_unfinished": "_unfinished",
    "save_model": "_model",
    "settle": "_project",
    "unfinished": "_unfinished",
    "with_backbone": "_project",
    "write_project": "_project",
}

__all__ = sorted(_HOMES)

__getattr__ = exporter(__name__, _HOMES)
