"""Trains what lies above a cut: trainer, and the frozen part's values from the store."""

from featbench.finetune._budget import pooling_at, storage_at
from featbench.finetune._classifier import FineTuneClassifier
from featbench.finetune._decoded import DecodedSplits
from featbench.finetune._held_out import hold_out
from featbench.finetune._last_layers import LinearHead
from featbench.finetune._schedule import Schedule
from featbench.finetune._trained import Anatomy

__all__ = [
    "Anatomy",
    "DecodedSplits",
    "FineTuneClassifier",
    "LinearHead",
    "Schedule",
    "hold_out",
    "pooling_at",
    "storage_at",
]
