"""Runs what lies below a cut, once: engines, store, and the spec that is the cache's key."""

from featbench.extraction._cache import (
    SpaceInfo,
    compact,
    find_space,
    prune,
    spaces,
    verify,
)
from featbench.extraction._device import choose_device
from featbench.extraction._engines import PRECISIONS
from featbench.extraction._export import check_export, export, export_space
from featbench.extraction._extract import extract, extract_layers
from featbench.extraction._features import Features, FeatureSplit
from featbench.extraction._pipeline import Decoder, Item, batches
from featbench.extraction._pooling import POOLINGS
from featbench.extraction._sparsity import Sparsity, activation_sparsity
from featbench.extraction._spec import FeatureSpec, spec_of
from featbench.extraction._stored import stored_rows

__all__ = [
    "POOLINGS",
    "PRECISIONS",
    "Decoder",
    "FeatureSpec",
    "FeatureSplit",
    "Features",
    "Item",
    "SpaceInfo",
    "Sparsity",
    "activation_sparsity",
    "batches",
    "choose_device",
    "check_export",
    "compact",
    "export",
    "export_space",
    "extract",
    "extract_layers",
    "find_space",
    "prune",
    "spaces",
    "spec_of",
    "stored_rows",
    "verify",
]
