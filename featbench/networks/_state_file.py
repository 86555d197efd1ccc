"""A network's tensors as one safetensors file; on the way back it may be somebody else's."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from featbench.errors import UsageError
from featbench.untrusted import parse_json, shown

_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16,
    "I32": torch.int32, "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip
_LENGTH = 8
_HEADER_OF_ONE = 1024
"""No tensor's line in the header is longer: names have 250 characters at most."""
COUNTER = "num_batches_tracked"
"""How batch norm calls the number of batches that it has seen."""


def tensors_to_bytes(tensors: Mapping[str, torch.Tensor], about: str = "") -> bytes:
    """Return a safetensors file; tensors that share memory are each written whole.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        On any device, in any layout.
    about : str
        A text to go with them.
    """
    plain = {n: t.detach().cpu().contiguous().clone() for n, t in tensors.items()}
    return save(plain, {"about": about} if about else None)


def most_bytes(like: Mapping[str, torch.Tensor]) -> int:
    """Return a size that no safetensors file of such tensors is above."""
    return sum(t.nbytes for t in like.values()) + _LENGTH + _HEADER_OF_ONE * (len(like) + 1)


def tensors_from_bytes(
    content: bytes, like: Mapping[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file that are named and shaped as others are.

    All is compared before room is made for anything.

    Parameters
    ----------
    content : bytes
        The file.
    like : mapping of str to Tensor
        Names, shapes and dtypes as they must be.
    path : Path
        Where it is from, for the error.

    Raises
    ------
    UsageError
        For what is no such file, a tensor missing, too many, or of another shape or dtype.
    """
    header = read_header(content, path)
    if missing := sorted(like.keys() - header.keys()):
        raise UsageError(f"{path}: tensor {missing[0]!r} is missing")
    if unknown := sorted(header.keys() - like.keys()):
        raise UsageError(f"{path}: tensor {shown(unknown[0])[:80]!r} is not known")
    for name, one in like.items():
        if header[name] != (one.dtype, tuple(one.shape)):
            dtype, shape = header[name]
            raise UsageError(f"{path}: tensor {name} is {dtype} {shape}, expected {one.dtype} "
                             f"{tuple(one.shape)}")  # fmt: skip
    try:
        return dict(load(content))
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError, RuntimeError) as error:
        reason = shown(str(error).partition("\n")[0])[:200]
        raise UsageError(f"{path}: is no safetensors file ({reason})") from error


def read_header(content: bytes, path: Path) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Return each tensor's dtype and shape as a safetensors file's header says; its data may lie.

    Parameters
    ----------
    content : bytes
        The file.
    path : Path
        Where it is from, for the error.

    Raises
    ------
    UsageError
        When it is no header, or a shape is beyond the file's size.
    """
    raw = _raw_header(content, path)
    raw.pop("__metadata__", None)
    found = {}
    for name, entry in raw.items():
        found[name] = _entry(entry, len(content))
        if found[name] is None or len(name) > _HEADER_OF_ONE:
            raise UsageError(f"{path}: tensor {shown(name)[:80]!r} has no dtype and shape that "
                             "such a file can hold")  # fmt: skip
    return {name: entry for name, entry in found.items() if entry is not None}


def read_about(content: bytes, path: Path) -> str:
    """Return the text that ``tensors_to_bytes`` put in; empty where there is none.

    Parameters
    ----------
    content : bytes
        The file.
    path : Path
        Where it is from, for the error.
    """
    metadata = _raw_header(content, path).get("__metadata__")
    about = metadata.get("about") if isinstance(metadata, dict) else None
    return about if isinstance(about, str) else ""


def _raw_header(content: bytes, path: Path) -> dict[str, Any]:
    length = int.from_bytes(content[:_LENGTH], "little")
    if len(content) < _LENGTH or length > len(content) - _LENGTH:
        raise UsageError(f"{path}: is no safetensors file, or its header is too long "
                         f"({length:,} bytes)")  # fmt: skip
    raw = parse_json(content[_LENGTH : _LENGTH + length], path)
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: is no safetensors file (its header is no JSON object)")
    return raw


def _entry(entry: Any, size: int) -> tuple[torch.dtype, tuple[int, ...]] | None:
    """Return what a header says of one tensor; None where a file of this size cannot hold it."""
    if not isinstance(entry, dict):
        return None
    dtype, shape = _DTYPES.get(str(entry.get("dtype"))), entry.get("shape")
    whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if dtype is None or not isinstance(shape, list) or not whole or len(shape) > 16:
        return None
    return (dtype, tuple(shape)) if math.prod(shape) * dtype.itemsize <= size else None


def check_values(
    tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], what: str
) -> None:
    """Refuse numbers that are not finite, and whole numbers other than the network's own.

    Whole numbers are places in a table, which compiled code may follow without looking.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        A network's, trained.
    own : mapping of str to Tensor
        The same network's as it is built.
    what : str
        Whose they are, for the error.

    Raises
    ------
    UsageError
        With the first that is not so.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            fits = bool(tensor.isfinite().all())
        elif name.endswith(COUNTER):
            fits = bool((tensor >= 0).all())
        else:
            fits = torch.equal(tensor.cpu(), own[name].cpu())
        if not fits:
            raise UsageError(f"{what}: tensor {name} holds values that it cannot have")
