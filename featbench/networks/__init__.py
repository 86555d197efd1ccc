"""What is computed: pretrained backbones, small networks, weights, blocks, and the cut."""

from featbench.networks._blocks import Block
from featbench.networks._fuse import fuse
from featbench.networks._layers import Layer, layers_of
from featbench.networks._network import (
    Cut,
    FrozenPrefix,
    Network,
    check_network,
    create_network,
)
from featbench.networks._pack import pack
from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import NETWORKS, Built, register_network
from featbench.networks._small import is_small, register_small, small_networks, small_options
from featbench.networks._trace import FEATURES, PIXELS, weight_count
from featbench.networks._weights import is_weights_file
from featbench.networks._zeros import ActivationZeros, ZeroCounter

__all__ = [
    "FEATURES",
    "NETWORKS",
    "PIXELS",
    "ActivationZeros",
    "Block",
    "Built",
    "Cut",
    "FrozenPrefix",
    "Layer",
    "Network",
    "Preprocessing",
    "ZeroCounter",
    "check_network",
    "create_network",
    "fuse",
    "is_small",
    "is_weights_file",
    "layers_of",
    "pack",
    "register_network",
    "register_small",
    "small_networks",
    "small_options",
    "weight_count",
]
