"""The data sets that have a name. Each entry builds one: ``(name, root) -> Dataset``."""

from collections.abc import Callable
from pathlib import Path

from featbench.datasets._dataset import Dataset
from featbench.registry import Registry

Builder = Callable[[str, Path], Dataset]

DATASETS: Registry[Builder] = Registry("dataset", "featbench.datasets")
register_dataset = DATASETS.register
