"""A small convolutional network: two convolutions, three fully connected layers."""

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built
from featbench.networks._small import in_line, register_small


@register_small("cnn")
def _build(dropout: float = 0.2, size: int = 64, resize: int = 0, channels: int = 3) -> Built:
    """3×3 convolutions of 20 and 64, unpadded, with batch norm, ReLU and pooling; 100, 50, classes.

    1,272,372 parameters for ten classes. It sees ``size`` × ``size`` pixels, the centre of a
    picture whose short side is 9/8 of that (72 for 64), scaled to [-1, 1].

    Parameters
    ----------
    dropout : float
        The share that is dropped after the first two fully connected layers.
    size : int
        Pixels of a side, at least 10.
    resize : int
        Pixels of the resized picture's short side; 0 stands for 9/8 of ``size``.
    channels : int
        3 for RGB, 1 for grey.
    """
    pixels = Preprocessing.from_scratch(size, channels, resize=resize or size * 9 // 8, least=10)
    side = ((size - 2) // 2 - 2) // 2
    network = in_line(
        conv1=nn.Conv2d(channels, 20, 3),
        norm1=nn.BatchNorm2d(20),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(20, 64, 3),
        norm2=nn.BatchNorm2d(64),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(64 * side**2, 100),
        relu3=nn.ReLU(),
        dropout1=nn.Dropout(dropout) if dropout else None,
        fc2=nn.Linear(100, 50),
        relu4=nn.ReLU(),
        dropout2=nn.Dropout(dropout) if dropout else None,
        fc3=nn.Linear(50, 10),
    )
    return Built(network, "random", pixels)
