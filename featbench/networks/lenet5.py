"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

from torch import nn

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built
from featbench.networks._small import in_line, register_small


@register_small("lenet5")
def _build(batch_norm: bool = False, dropout: float = 0.0) -> Built:
    """Two convolutions and three fully connected layers, with ReLU and average pooling.

    61,706 parameters for ten classes (61,750 with batch norm). It sees one grey channel of 28×28
    pixels, padded with black to 32×32 and scaled to [-1, 1].

    Parameters
    ----------
    batch_norm : bool
        Batch norm after each convolution.
    dropout : float
        The share that is dropped after the first two fully connected layers.
    """
    network = in_line(
        conv1=nn.Conv2d(1, 6, 5),
        norm1=nn.BatchNorm2d(6) if batch_norm else None,
        relu1=nn.ReLU(),
        pool1=nn.AvgPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        norm2=nn.BatchNorm2d(16) if batch_norm else None,
        relu2=nn.ReLU(),
        pool2=nn.AvgPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(16 * 5 * 5, 120),
        relu3=nn.ReLU(),
        dropout1=nn.Dropout(dropout) if dropout else None,
        fc2=nn.Linear(120, 84),
        relu4=nn.ReLU(),
        dropout2=nn.Dropout(dropout) if dropout else None,
        fc3=nn.Linear(84, 10),
    )
    return Built(network, "random", Preprocessing.from_scratch(32, 1, resize=(28, 28)))
