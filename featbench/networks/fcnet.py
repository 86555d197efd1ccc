"""A fully connected network: hidden layers with batch norm, ReLU and dropout."""

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built
from featbench.networks._small import in_line, register_small


@register_small("fcnet")
def _build(
    hidden: tuple[int, ...] = (200, 100, 50),
    batch_norm: bool = True,
    dropout: float = 0.2,
    size: int = 64,
    resize: int = 0,
    channels: int = 3,
) -> Built:
    """Hidden layers, each with batch norm, ReLU and dropout; 2,484,160 parameters, ten classes.

    It sees ``size`` × ``size`` pixels, the centre of a picture whose short side is 9/8 of that
    (72 for 64), scaled to [-1, 1].

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    batch_norm : bool
        Batch norm before each ReLU.
    dropout : float
        The share that is dropped after each ReLU.
    size : int
        Pixels of a side.
    resize : int
        Pixels of the resized picture's short side; 0 stands for 9/8 of ``size``.
    channels : int
        3 for RGB, 1 for grey.
    """
    pixels = Preprocessing.from_scratch(size, channels, resize=resize or size * 9 // 8)
    layers: dict[str, nn.Module | None] = {"flatten": nn.Flatten()}
    units = [channels * size**2, *hidden]
    for i, (before, after) in enumerate(zip(units, hidden, strict=False), start=1):
        layers[f"fc{i}"] = nn.Linear(before, after)
        layers[f"norm{i}"] = nn.BatchNorm1d(after) if batch_norm else None
        layers[f"relu{i}"] = nn.ReLU()
        layers[f"dropout{i}"] = nn.Dropout(dropout) if dropout else None
    layers[f"fc{len(units)}"] = nn.Linear(units[-1], 10)
    return Built(in_line(**layers), "random", pixels)
