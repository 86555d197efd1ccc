"""From an RGB picture to the pixels a network was trained on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from featbench.errors import UsageError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Preprocessing:
    """Resize, centre crop, scale to [0, 1], normalise: the steps that belong to a set of weights.

    Parameters
    ----------
    resize : int or (int, int)
        Pixels of the short side (the other follows, rounded down), or (height, width) exactly.
    crop : (int, int), optional
        (height, width) of the centre crop; what is larger than the picture is black around it;
        None keeps what ``resize`` made.
    interpolation : str
        ``nearest``, ``bilinear``, ``bicubic`` or ``lanczos``; Pillow's, always with antialias.
    mean, std : tuple of float
        One a channel, in units of [0, 1]; their number is the number of channels: 3 for RGB, 1 for
        grey (ITU-R 601 luma).
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int] | None
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise UsageError(
                f"interpolation {self.interpolation!r}: expected {', '.join(_FILTERS)}"
            )
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3):
            raise UsageError(f"mean and std need 1 or 3 numbers each, not {self.mean}, {self.std}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what the network gets."""
        size = self.crop or self.resize
        height, width = size if isinstance(size, tuple) else (size, size)
        return len(self.mean), height, width

    @classmethod
    def from_scratch(
        cls,
        size: int,
        channels: int,
        *,
        resize: int | tuple[int, int] | None = None,
        least: int = 8,
    ) -> "Preprocessing":
        """Return the steps of a small network of our own: a square, scaled to [-1, 1].

        Parameters
        ----------
        size : int
            Pixels of a side of what the network gets.
        channels : int
            3 for RGB, 1 for grey.
        resize : int or (int, int), optional
            What the square is the centre of: pixels of the picture's short side, or its height and
            width; None resizes to the square itself.
        least : int
            The smallest size that the network can take.

        Raises
        ------
        UsageError
            For a size below ``least`` or above 1,024, or channels that are not 1 or 3.
        """
        if not least <= size <= 1024:
            raise UsageError(f"size={size}: expected {least} to 1024 pixels")
        if channels not in (1, 3):
            raise UsageError(f"channels={channels}: expected 3 (RGB) or 1 (grey)")
        if isinstance(resize, int) and not size <= resize <= 2048:
            raise UsageError(f"resize={resize}: expected {size} (the size) to 2048 pixels")
        half = (0.5,) * channels
        square = (size, size)
        if resize is None:
            return cls(square, None, "bilinear", half, half)
        return cls(resize, square, "bilinear", half, half)

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return (height, width, channels) uint8, ready for ``normalise``."""
        return self._array(self._crop(self._resize(image)))

    def resized(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return (height, width, channels) uint8 before the crop, whatever size that is."""
        return self._array(self._resize(image))

    def cropped(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the centre crop of what ``resized`` returned: what ``pixels`` returns."""
        return self._array(
            self._crop(Image.fromarray(pixels[..., 0] if len(self.mean) == 1 else pixels))
        )

    def _resize(self, image: Image.Image) -> Image.Image:
        image = image.convert("L" if len(self.mean) == 1 else "RGB")
        return image.resize(self._resized(image.size), _FILTERS[self.interpolation])

    def _crop(self, image: Image.Image) -> Image.Image:
        if self.crop is None:
            return image
        height, width = self.crop
        left, top = round((image.width - width) / 2.0), round((image.height - height) / 2.0)
        return image.crop((left, top, left + width, top + height))

    def _array(self, image: Image.Image) -> NDArray[np.uint8]:
        array: NDArray[np.uint8] = np.asarray(image)
        return array.reshape(*array.shape[:2], len(self.mean))

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        if isinstance(self.resize, tuple):
            return self.resize[1], self.resize[0]
        width, height = size
        if width <= height:
            return self.resize, max(1, int(self.resize * height / width))
        return max(1, int(self.resize * width / height)), self.resize

    def normalise(self, pixels: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Return (n, channels, height, width) in channels_last memory, on pixels' device.

        Parameters
        ----------
        pixels : Tensor of uint8, shape (n, height, width, channels)
        dtype : torch.dtype
            Of what is returned; the arithmetic is float32.
        """
        n, height, width, channels = pixels.shape
        std = torch.tensor(self.std, device=pixels.device)
        mean = torch.tensor(self.mean, device=pixels.device)
        lines = pixels.reshape(
            n, height, width * channels
        )  # long rows: three numbers are no vector
        scaled = torch.mul(lines, (1 / (255 * std)).repeat(width)).sub_((mean / std).repeat(width))
        # a view: the memory is already channels_last
        return scaled.to(dtype).view(pixels.shape).permute(0, 3, 1, 2)

    def with_statistics(self, mean: Sequence[float], std: Sequence[float]) -> "Preprocessing":
        """Return these steps with another normalisation, numbers as in ``Preprocessing``."""
        return replace(self, mean=tuple(mean), std=tuple(std))

    def as_dict(self) -> dict[str, Any]:
        """Return every step as JSON has it, for the feature space's key."""
        steps = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {**steps, "antialias": True, "resizer": "pillow"}
