"""Runs the frozen part of a network on batches of one fixed shape."""

import numpy as np
import torch
from numpy.typing import NDArray

from featbench.errors import UsageError
from featbench.machine import keep_memory
from featbench.networks import FEATURES, Network

DEFAULT_BATCH = 32


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    name : str
        ``auto`` (CUDA, else Apple's mps, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises
    ------
    UsageError
        When this machine has no such device.
    """
    keep_memory()
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name}: not usable here ({reason}); use auto or cpu") from error
    return device


def pool(value: torch.Tensor, pooling: str) -> torch.Tensor:
    """Reduce a value at a cut to one row an image.

    Parameters
    ----------
    value : Tensor, shape (n, ...)
        Feature maps (n, channels, height, width), tokens (n, tokens, channels) or rows.
    pooling : str
        ``none``, ``avg`` or ``max``.
    """
    if pooling == "none" or value.ndim == 2:
        return value
    positions = (2, 3) if value.ndim == 4 else (1,)
    return value.mean(positions) if pooling == "avg" else value.amax(positions)


class Engine:
    """Eager float32 in channels_last memory, in inference mode.

    Every batch has the same shape, the last one padded, so a row does not depend on its neighbours.

    Parameters
    ----------
    network : Network
        The network; its weights move to the device.
    layer : str
        Where to cut.
    pooling : str
        As in ``pool``.
    device : torch.device
        Where to compute.
    batch : int
        Images a forward.
    """

    name = "eager-channels-last"

    def __init__(
        self,
        network: Network,
        layer: str,
        pooling: str,
        device: torch.device,
        batch: int = DEFAULT_BATCH,
    ) -> None:
        if batch < 1:
            raise UsageError(f"--batch-size {batch}: expected at least 1")
        self._prefix = network.cut(layer).prefix.to(device).to(memory_format=torch.channels_last)
        self.preprocessing, self._pooling = network.preprocessing, pooling
        self.device, self.batch = device, batch

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the rows of at most ``batch`` images, (n, height, width, channels) uint8."""
        padded = pixels
        if len(pixels) < self.batch:
            padded = np.zeros((self.batch, *pixels.shape[1:]), np.uint8)
            padded[: len(pixels)] = pixels
        with torch.inference_mode():
            images = self.preprocessing.normalise(torch.from_numpy(padded).to(self.device))
            rows = pool(self._prefix(images), self._pooling)
            result: NDArray[np.float32] = rows[: len(pixels)].float().cpu().contiguous().numpy()
            return result


def pooling_for(network: Network, layer: str = FEATURES) -> str:
    """Return how ``features`` become rows: averaged over positions where there are any."""
    return "avg" if layer == FEATURES and len(network.shape_at(layer)) > 1 else "none"


def row_shape(network: Network, layer: str, pooling: str) -> tuple[int, ...]:
    """Return the shape of one image's row, by arithmetic on shapes alone."""
    return tuple(pool(torch.empty(1, *network.shape_at(layer), device="meta"), pooling).shape[1:])
