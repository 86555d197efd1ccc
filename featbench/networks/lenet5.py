"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition")."""

import torch
from torch import nn
from torch.nn import functional

from featbench.networks._preprocessing import Preprocessing
from featbench.networks._registry import Built, register_small


class LeNet5(nn.Module):
    """Two convolutions and three fully connected layers, with ReLU and average pooling.

    61,706 parameters for one 32×32 channel and ten classes.

    Parameters
    ----------
    classes : int
        Outputs of the last layer.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) for grey pixels (n, 1, 32, 32)."""
        x = functional.avg_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.avg_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(x.flatten(1)))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)  # type: ignore[no-any-return]


@register_small("lenet5")
def _build() -> Built:
    pixels = Preprocessing((32, 32), None, "bilinear", mean=(0.5,), std=(0.5,))
    return Built(LeNet5(), "random", pixels)
