"""Validation images to choose an epoch on, where the data set has none of its own."""

from featbench.datasets import Dataset, with_validation
from featbench.progress import Reporter

_SHOWN = 5


def hold_out(dataset: Dataset, split_seed: int, reporter: Reporter) -> Dataset:
    """Return the data set with a ``val`` split: its own, else a fifth of train.

    Parameters
    ----------
    dataset : Dataset
        With a train split.
    split_seed : int
        Decides which images are held out.
    reporter : Reporter
        Is told how many, and of classes that are left without a training image.
    """
    divided = with_validation(dataset, split_seed=split_seed)
    if divided is dataset:
        return dataset
    whole, val = dataset.train, divided.splits["val"]
    reporter.say(f"{dataset.name}: has no val images: {len(val):,} of {len(whole):,} train images "
                 "are held out, to choose the epoch or to stop by")  # fmt: skip
    # which image is held out hangs on its id alone, so that small classes can go whole
    if lost := sorted({*whole.labels.tolist()} - {*divided.train.labels.tolist()}):
        names = ", ".join(dataset.classes[label] for label in lost[:_SHOWN])
        names += ", …" if len(lost) > _SHOWN else ""
        reporter.say(f"{dataset.name}: every train image of {names} is held out, so that it is "
                     "not learned; give another split seed or more images, or "
                     "select=last without patience")  # fmt: skip
    return divided
