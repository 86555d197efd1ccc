"""On what: folders, zips, tables, bundled and torchvision sets; their splits."""

from featbench.datasets._audit import Audit, audit, fixed_splits
from featbench.datasets._class_folders import SPLIT_NAMES
from featbench.datasets._dataset import Dataset, Picture, Split
from featbench.datasets._decode import Raw, decode, decoder_version, digest
from featbench.datasets._given import GIVEN, given_images
from featbench.datasets._index import unread_images, use_index
from featbench.datasets._load import data_root, load_dataset
from featbench.datasets._pictures import ArrayPicture, FilePicture
from featbench.datasets._registry import DATASETS, register_dataset
from featbench.datasets._source import Source
from featbench.datasets._splits import (
    VALIDATION_SHARE,
    draw_in_all,
    draw_per_class,
    settle_splits,
    split_groups,
    split_off,
    with_validation,
)

__all__ = [
    "DATASETS",
    "GIVEN",
    "SPLIT_NAMES",
    "VALIDATION_SHARE",
    "ArrayPicture",
    "Audit",
    "Dataset",
    "FilePicture",
    "Picture",
    "Raw",
    "Source",
    "Split",
    "audit",
    "data_root",
    "decode",
    "decoder_version",
    "digest",
    "draw_in_all",
    "draw_per_class",
    "given_images",
    "fixed_splits",
    "load_dataset",
    "register_dataset",
    "settle_splits",
    "split_groups",
    "split_off",
    "unread_images",
    "use_index",
    "with_validation",
]
