"""Augmented views of pictures: recipes, parameters seeded by content, pixels in batches."""

from featbench.augmentation._augmentation import Augmentation, augmented_views
from featbench.augmentation._recipe import NO_AUGMENTATION, parse_copies

__all__ = ["NO_AUGMENTATION", "Augmentation", "augmented_views", "parse_copies"]
