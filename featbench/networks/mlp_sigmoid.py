"""The multilayer perceptron of the textbooks: sigmoids, to be trained with MSE and momentum."""

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built
from featbench.networks._small import in_line, register_small


@register_small("mlp-sigmoid")
def _build(
    hidden: tuple[int, ...] = (128, 64), size: int = 28, resize: int = 0, channels: int = 1
) -> Built:
    """Two hidden layers of sigmoids; 109,386 parameters for ten classes.

    It sees the whole picture as ``size`` × ``size`` grey pixels, scaled to [-1, 1]. The last layer
    has no sigmoid: that is the loss's. (Rumelhart, Hinton and Williams 1986, "Learning
    representations by back-propagating errors".)

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    size : int
        Pixels of a side.
    resize : int
        Take the centre of a picture whose short side this is; 0 takes the whole picture.
    channels : int
        3 for RGB, 1 for grey.
    """
    pixels = Preprocessing.from_scratch(size, channels, resize=resize or None)
    layers: dict[str, nn.Module | None] = {"flatten": nn.Flatten()}
    units = [channels * size**2, *hidden]
    for i, (before, after) in enumerate(zip(units, hidden, strict=False), start=1):
        layers[f"fc{i}"] = nn.Linear(before, after)
        layers[f"sigmoid{i}"] = nn.Sigmoid()
    layers[f"fc{len(units)}"] = nn.Linear(units[-1], 10)
    return Built(in_line(**layers), "random", pixels)
