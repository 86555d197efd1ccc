"""Runs what lies below a cut, once: engine, store, and the spec that is the cache's key."""

from featbench.extraction._engine import DEFAULT_BATCH, choose_device
from featbench.extraction._export import export
from featbench.extraction._extract import Features, FeatureSplit, extract
from featbench.extraction._pictures import batches, decoded
from featbench.extraction._spec import FeatureSpec, spec_of

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
