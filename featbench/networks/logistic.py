"""Multinomial logistic regression on pixels: the baseline below every network."""

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built
from featbench.networks._small import in_line, register_small


@register_small("logistic")
def _build(size: int = 64, resize: int = 0, channels: int = 3) -> Built:
    """One linear layer from pixels to classes; 122,890 parameters for ten classes.

    It sees ``size`` × ``size`` pixels, the centre of a picture whose short side is 9/8 of that
    (72 for 64), scaled to [-1, 1]: the same as ``fcnet`` and ``cnn``.

    Parameters
    ----------
    size : int
        Pixels of a side.
    resize : int
        Pixels of the resized picture's short side; 0 stands for 9/8 of ``size``.
    channels : int
        3 for RGB, 1 for grey.
    """
    pixels = Preprocessing.from_scratch(size, channels, resize=resize or size * 9 // 8)
    network = in_line(flatten=nn.Flatten(), fc=nn.Linear(channels * size**2, 10))
    return Built(network, "random", pixels)
