"""What is computed: pretrained backbones, small networks, weights, blocks, and the cut."""

from featbench.networks._blocks import Block
from featbench.networks._fuse import fuse
from featbench.networks._network import (
    Cut,
    FrozenPrefix,
    Network,
    check_network,
    create_network,
    is_weights_file,
)
from featbench.networks._pack import pack
from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import (
    NETWORKS,
    Built,
    register_network,
    register_small,
    small_networks,
)
from featbench.networks._trace import FEATURES, PIXELS, weight_count

__all__ = [
    "FEATURES",
    "NETWORKS",
    "PIXELS",
    "Block",
    "Built",
    "Cut",
    "FrozenPrefix",
    "Network",
    "Preprocessing",
    "check_network",
    "create_network",
    "fuse",
    "is_weights_file",
    "pack",
    "register_network",
    "register_small",
    "small_networks",
    "weight_count",
]
