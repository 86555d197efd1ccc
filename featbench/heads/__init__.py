"""Classical estimators on arrays: arrays in, labels out. One file each."""

from featbench.heads._base import HEADS, Head, create_head, register_head
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._saved import FileNote, load_head, save_head

__all__ = [
    "HEADS",
    "FileNote",
    "Head",
    "KernelSVC",
    "create_head",
    "load_head",
    "register_head",
    "save_head",
]
