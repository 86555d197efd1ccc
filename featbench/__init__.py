"""How far does a frozen pretrained network take me; what would I gain by training more of it?

    import featbench as fb

    photos = fb.load_dataset("photos/")
    features = fb.extract(photos, "efficientnet_lite0")
    head = fb.create_head("svm-poly", C=10).fit(features.train.X, features.train.y)
    tuned = fb.FineTuneClassifier("efficientnet_lite0", blocks=1).fit(photos)
    table = fb.load_results("results")

Names are imported when they are first used, so that ``import featbench`` costs nothing.
"""

from typing import TYPE_CHECKING

from featbench.lazy import exporter

if TYPE_CHECKING:
    from featbench.datasets import Dataset as Dataset
    from featbench.datasets import load_dataset as load_dataset
    from featbench.errors import FeatbenchError as FeatbenchError
    from featbench.experiments import load_results as load_results
    from featbench.extraction import Features as Features
    from featbench.extraction import activation_sparsity as activation_sparsity
    from featbench.extraction import extract as extract
    from featbench.finetune import FineTuneClassifier as FineTuneClassifier
    from featbench.heads import create_head as create_head
    from featbench.networks import Network as Network
    from featbench.networks import create_network as create_network

__version__ = "0.1.0"

_ROOM_OF = {
    "Dataset": "datasets",
    "FeatbenchError": "errors",
    "Features": "extraction",
    "FineTuneClassifier": "finetune",
    "Network": "networks",
    "activation_sparsity": "extraction",
    "create_head": "heads",
    "create_network": "networks",
    "extract": "extraction",
    "load_dataset": "datasets",
    "load_results": "experiments",
}

__all__ = sorted(_ROOM_OF)


__getattr__ = exporter(__name__, _ROOM_OF)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
