"""What is computed: pretrained backbones, small networks, weights, blocks, and the cut."""

from featbench.networks._at_hand import is_at_hand
from featbench.networks._blocks import Block
from featbench.networks._final_layer import replace_classifier
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
from featbench.networks._state_file import (
    check_values,
    most_bytes,
    read_about,
    read_header,
    tensors_from_bytes,
    tensors_to_bytes,
)
from featbench.networks._trace import FEATURES, PIXELS, weight_count
from featbench.networks._weights import RUN, GivenWeights, is_weights_file, sha256_of_tensors, under
from featbench.networks._zeros import ActivationZeros, ZeroCounter

__all__ = [
    "FEATURES",
    "NETWORKS",
    "PIXELS",
    "RUN",
    "ActivationZeros",
    "Block",
    "Built",
    "Cut",
    "FrozenPrefix",
    "GivenWeights",
    "Layer",
    "Network",
    "Preprocessing",
    "ZeroCounter",
    "check_network",
    "check_values",
    "create_network",
    "fuse",
    "is_at_hand",
    "is_small",
    "is_weights_file",
    "layers_of",
    "most_bytes",
    "pack",
    "read_about",
    "read_header",
    "register_network",
    "replace_classifier",
    "register_small",
    "sha256_of_tensors",
    "small_networks",
    "small_options",
    "tensors_from_bytes",
    "tensors_to_bytes",
    "under",
    "weight_count",
]
