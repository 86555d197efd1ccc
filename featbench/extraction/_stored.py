"""How many of a data set's rows the store has, without computing any."""

import functools
from pathlib import Path

from featbench.datasets import Dataset, use_index
from featbench.extraction._half import FLOAT32
from featbench.extraction._pooling import pooling_for, row_shape
from featbench.extraction._spec import spec_of
from featbench.extraction._store import FeatureSpace
from featbench.networks import FEATURES, Network


def stored_rows(
    dataset: Dataset,
    network: Network,
    *,
    layer: str = FEATURES,
    pooling: str | None = None,
    precision: str = "float32",
    storage: str = FLOAT32,
    cache: str | Path = "cache",
) -> tuple[int, int]:
    """Return how many rows of a layer are in the store, and how many there would be in all.

    Parameters
    ----------
    dataset : Dataset
        The images; two with one content have one row.
    network : Network
        The frozen network.
    layer, pooling, precision, storage, cache
        As in ``extract_layers``.
    """
    use_index(dataset, cache)
    contents = list({name for split in dataset.splits.values() for name in split.digests})
    how = pooling_for(layer, pooling)
    spec = spec_of(network, layer, how, precision=precision, storage=storage)
    shape = functools.partial(row_shape, network, layer, how)
    found = FeatureSpace(Path(cache), spec, shape).find(contents, rows=False)
    return int(found.present.sum()), len(contents)
