"""Every registered network keeps the contract; none is named here."""

import pytest
import torch

from featbench.networks import NETWORKS, Network, create_network, small_networks


def shapes_only(name: str) -> Network:
    """Create a network without its weights' memory, where its own code allows it."""
    try:
        with torch.device("meta"):
            return create_network(name, "random", classes=5)
    except NotImplementedError:  # it computes with its tensors while it is built
        return create_network(name, "random", classes=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_features_and_counts(name: str) -> None:
    network = shapes_only(name)
    assert network.trace is not None, network.untraced_because
    names = [block.name for block in network.blocks]
    assert names or set(network.block_parameters()) == {"classifier"}  # nothing but a linear layer
    assert len(set(names)) == len(names)
    assert network.layers[-1] == "features"
    assert len(network.shape_at("features")) in (1, 3)
    own = network.block_parameters()
    assert min(own.values()) > 0
    assert sum(own.values()) == network.parameters("all")[0]
    channels, height, width = network.preprocessing.shape
    assert channels in (1, 3)
    assert min(height, width) >= 8


def _weights(name: str, seed: int) -> torch.Tensor:
    return torch.cat(
        [p.detach().flatten() for p in create_network(name, seed=seed).module.parameters()]
    )


@pytest.mark.parametrize("name", small_networks())
def test_small_networks_are_seeded_and_have_no_pretrained_weights(name: str) -> None:
    assert create_network(name).weights == "random"
    assert create_network(name).sha256 == create_network(name).sha256
    values = torch.stack([_weights(name, seed) for seed in (0, 0, 1)])
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
