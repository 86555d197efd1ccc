"""Where a head's arithmetic is done."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Say how float32 products are done here, whatever the program asked torch for its own.

    Parameters
    ----------
    precision : str
        Torch's word: ``highest`` is float32; ``medium`` may round what is multiplied (bfloat16,
        TF32) where that is faster.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def find_device(name: str) -> torch.device:
    """Return the device called ``cpu``, ``cuda`` or ``cuda:1``; ``auto`` is a GPU if one is there.

    Raises
    ------
    ValueError
        For another name, or a device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device={name!r}: expected cpu, cuda, cuda:N or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device={name!r}: there is no such device here; auto takes what there is")
    return device


def usable_device(name: str) -> torch.device:
    """Return the device of a name, or the CPU: a fitted head is asked wherever it has come to."""
    try:
        return find_device(name)
    except ValueError:
        return torch.device("cpu")
