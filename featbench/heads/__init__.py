"""Classical estimators on arrays: arrays in, labels out. One file each."""

from featbench.heads._base import HEADS, Head, create_head, register_head

__all__ = ["HEADS", "Head", "create_head", "register_head"]
