"""Classical estimators on arrays: arrays in, labels out. One file each."""

from featbench.heads._base import HEADS, Head, create_head, register_head
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._softmax import SoftmaxRegression, softmax_path

__all__ = [
    "HEADS",
    "Head",
    "KernelSVC",
    "SoftmaxRegression",
    "create_head",
    "register_head",
    "softmax_path",
]
