"""Runs what lies below a cut, once: engines, store, and the spec that is the cache's key."""

from featbench.extraction._device import choose_device
from featbench.extraction._export import export
from featbench.extraction._extract import extract, extract_layers
from featbench.extraction._features import Features, FeatureSplit
from featbench.extraction._pipeline import Decoder, Item, batches
from featbench.extraction._spec import FeatureSpec, spec_of

__all__ = [
    "Decoder",
    "FeatureSpec",
    "FeatureSplit",
    "Features",
    "Item",
    "batches",
    "choose_device",
    "export",
    "extract",
    "extract_layers",
    "spec_of",
]
