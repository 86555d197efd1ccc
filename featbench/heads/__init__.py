"""Classical estimators on arrays: arrays in, labels out. One file each."""

from featbench.heads._base import HEADS, Head, create_head, register_head
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._saved import FileNote, load_head, save_head
from featbench.heads._shared_products import SharedProducts
from featbench.heads._softmax import SoftmaxRegression, softmax_path
from featbench.heads._trials import Fold
from featbench.heads._tune import Candidate, best_of, left_to_search, refitted, search_space, tune

__all__ = [
    "HEADS",
    "Candidate",
    "FileNote",
    "Fold",
    "Head",
    "KernelSVC",
    "SharedProducts",
    "SoftmaxRegression",
    "best_of",
    "create_head",
    "left_to_search",
    "load_head",
    "refitted",
    "register_head",
    "save_head",
    "search_space",
    "softmax_path",
    "tune",
]
