"""Trains what lies above a cut: trainer, and the frozen part's values from the store."""

from featbench.finetune._classifier import FineTuneClassifier, LinearHead
from featbench.finetune._trainer import Schedule

__all__ = ["FineTuneClassifier", "LinearHead", "Schedule"]
