"""Every named data set keeps the contract, or says how it can be had; none is named here."""

from pathlib import Path

import numpy as np
import pytest

from featbench.datasets import DATASETS, load_dataset
from featbench.errors import FeatbenchError


@pytest.mark.parametrize("name", DATASETS)
def test_a_named_data_set_loads_or_says_where_it_looked(name: str, tmp_path: Path) -> None:
    try:
        dataset = load_dataset(name, root=tmp_path)
    except FeatbenchError as told:
        first, second = str(told).splitlines()
        assert f"{name!r}: not found in {tmp_path / name}" in first
        assert second.startswith("put ")
        assert str(tmp_path / name) in second
        return
    assert dataset.name == name
    assert {"train", "test"} <= set(dataset.splits)
    ids = [i for split in dataset.splits.values() for i in split.ids]
    assert len(set(ids)) == len(ids)
    for split in dataset.splits.values():
        assert split.labels.dtype == np.int64
        assert len(split.ids) == len(split.labels) == len(split.pictures) > 0
        assert 0 <= split.labels.min() <= split.labels.max() < len(dataset.classes)
        assert split.read(0).mode == "RGB"
