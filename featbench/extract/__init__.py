"""Runs what lies below a cut, once: engine, store, and the spec that is the cache's key."""

from featbench.extract._engine import DEFAULT_BATCH, choose_device
from featbench.extract._export import export
from featbench.extract._extract import Features, FeatureSplit, extract
from featbench.extract._pictures import batches, decoded
from featbench.extract._spec import FeatureSpec, spec_of

__all__ = [
    "DEFAULT_BATCH",
    "FeatureSpec",
    "FeatureSplit",
    "Features",
    "batches",
    "choose_device",
    "decoded",
    "export",
    "extract",
    "spec_of",
]
