"""A convolutional network for binary tasks: three convolutions, one logit."""

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built
from featbench.networks._small import in_line, register_small


@register_small("cnn3")
def _build(
    dropout: float = 0.5,
    second_dropout: float = 0.0,
    size: int = 256,
    resize: int = 0,
    channels: int = 3,
) -> Built:
    """3×3 convolutions of 32, 64 and 128, padded by 1, each with ReLU and pooling; 128; one logit.

    16,870,721 parameters with its one output, whose sigmoid is in the loss: what is trained so is
    asked for as ``binary="sigmoid"`` (``--set binary=sigmoid``), since training gives any network
    an output for each class otherwise. It sees the whole picture as ``size`` × ``size`` pixels,
    scaled to [-1, 1].

    Parameters
    ----------
    dropout : float
        The share that is dropped after the fully connected layer.
    second_dropout : float
        The share of the rest that a second dropout, right after it, drops.
    size : int
        Pixels of a side.
    resize : int
        Take the centre of a picture whose short side this is; 0 takes the whole picture.
    channels : int
        3 for RGB, 1 for grey.
    """
    pixels = Preprocessing.from_scratch(size, channels, resize=resize or None)
    network = in_line(
        conv1=nn.Conv2d(channels, 32, 3, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(32, 64, 3, padding=1),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        conv3=nn.Conv2d(64, 128, 3, padding=1),
        relu3=nn.ReLU(),
        pool3=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(128 * (size // 8) ** 2, 128),
        relu4=nn.ReLU(),
        dropout1=nn.Dropout(dropout) if dropout else None,
        dropout2=nn.Dropout(second_dropout) if second_dropout else None,
        fc2=nn.Linear(128, 1),
    )
    return Built(network, "random", pixels)
