"""The pixels of views: all geometry of a view in one resampling, then its colours.

What rotation, crop and affine do one after the other is one affine map, so it is sampled once,
bilinearly, from the resized picture: nothing is blurred twice, and where a turned crop reaches
over its edge the picture goes on. Beyond the picture it is black. torch's ``grid_sample`` is what
torchvision.transforms.v2 samples with; eight pictures at a time stay in a core's cache.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from featbench.augmentation._steps import BRIGHTNESS, CONTRAST, Plan

Pixels = NDArray[np.uint8]
_TOGETHER = 8
_LUMA = (0.2989, 0.587, 0.114)  # as torchvision weighs them


def render(pictures: Sequence[Pixels], plans: Sequence[Plan]) -> Pixels:
    """Make views.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shape (height, width, channels)
        Each of a size of its own.
    plans : sequence of Plan
        One a picture, all to the same size.

    Returns
    -------
    ndarray of uint8, shape (n, height, width, channels)
    """
    views = np.empty((len(plans), *plans[0].size, pictures[0].shape[2]), np.uint8)
    left: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, (picture, plan) in enumerate(zip(pictures, plans, strict=True)):
        part = _part(picture, plan)
        if part is None:
            left[picture.shape].append(i)
        else:
            views[i] = part
    with torch.inference_mode():
        for rows in left.values():
            for few in _chunks(rows):
                same = torch.from_numpy(np.stack([pictures[i] for i in few]))
                views[few] = _sample(same, [plans[i] for i in few]).numpy()
        for few in _chunks([i for i, plan in enumerate(plans) if plan.colours]):
            views[few] = _recolour(torch.from_numpy(views[few]), [plans[i] for i in few]).numpy()
    return views


def _chunks(rows: list[int]) -> list[list[int]]:
    return [rows[i : i + _TOGETHER] for i in range(0, len(rows), _TOGETHER)]


def _part(picture: Pixels, plan: Plan) -> Pixels | None:
    """Return the view where it is a part of the picture as it is, perhaps mirrored."""
    a, b, c, d, e, f = plan.map
    if (abs(a), b, d, e) != (1, 0, 0, 1) or not (c.is_integer() and f.is_integer()):
        return None
    height, width = plan.size
    top, left = int(f), int(c) if a > 0 else int(c) - width
    if top < 0 or left < 0 or top + height > picture.shape[0] or left + width > picture.shape[1]:
        return None
    part = picture[top : top + height, left : left + width]
    return part if a > 0 else part[:, ::-1]


def _sample(pictures: torch.Tensor, plans: Sequence[Plan]) -> torch.Tensor:
    """Return (n, h, w, channels) uint8 from (n, height, width, channels) uint8."""
    (height, width), (h, w) = pictures.shape[1:3], plans[0].size
    maps = np.array([plan.map for plan in plans])
    a, b, c, d, e, f = torch.from_numpy(maps).T[:, :, None, None]
    # grid_sample counts from -1 to 1; elementwise, so that no view hangs on its neighbours
    x, y = torch.arange(w) + 0.5, (torch.arange(h) + 0.5)[:, None]
    across = (a * (2 / width)).float() * x + ((b * y + c) * (2 / width) - 1).float()
    down = (d * (2 / height)).float() * x + ((e * y + f) * (2 / height) - 1).float()
    values = pictures.permute(0, 3, 1, 2).float()
    grid = torch.stack([across, down], 3)
    sampled = functional.grid_sample(values, grid, padding_mode="zeros", align_corners=False)
    return sampled.round_().to(torch.uint8).permute(0, 2, 3, 1)


def _recolour(views: torch.Tensor, plans: Sequence[Plan]) -> torch.Tensor:
    """Return (n, h, w, channels) uint8 with the plans' colours, one change after the other."""
    values = views.float()
    for turn in range(max(len(plan.colours) for plan in plans)):
        for kind in {plan.colours[turn][0] for plan in plans if turn < len(plan.colours)}:
            rows = [i for i, plan in enumerate(plans)
                    if turn < len(plan.colours) and plan.colours[turn][0] == kind]  # fmt: skip
            factor = torch.tensor([plans[i].colours[turn][1] for i in rows])[:, None, None, None]
            values[rows] = _changed(values[rows], kind, factor)
    return values.round_().to(torch.uint8)


def _changed(values: torch.Tensor, kind: str, factor: torch.Tensor) -> torch.Tensor:
    """Blend with black, with the mean grey, or with each pixel's grey."""
    if kind == BRIGHTNESS:
        return (values * factor).clamp_(0, 255)
    grey = values
    if values.shape[3] == 3:
        red, green, blue = (values[..., i : i + 1] * weight for i, weight in enumerate(_LUMA))
        grey = red + green + blue
    if kind == CONTRAST:  # in double precision: the same whatever the order of summing
        grey = grey.mean((1, 2, 3), keepdim=True, dtype=torch.float64).float()
    return (values * factor + grey * (1 - factor)).clamp_(0, 255)
