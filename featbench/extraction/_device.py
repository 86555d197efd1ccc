"""Where to compute."""

import torch

from featbench.errors import UsageError
from featbench.machine import keep_memory

KINDS = ("cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to compute on; the allocator is told to keep its memory.

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
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else mps
    try:
        device = torch.device(name)
        if device.type not in KINDS:
            raise RuntimeError("nothing is made for it")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        known = name.partition(":")[0] in KINDS
        why = f"not usable here ({reason}); use auto or cpu" if known else (
            "expected auto, cpu, cuda, cuda:N or mps"
        )  # fmt: skip
        raise UsageError(f"--device {name}: {why}") from error
    if device.type == "cuda":  # float32 means float32, not TF32's ten bits of mantissa
        torch.backends.cudnn.allow_tf32 = False
    return device
