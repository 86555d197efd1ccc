"""Training on fewer images: which ones a run may use. The test split is always whole."""

from dataclasses import dataclass
from typing import Any

from featbench.datasets import Dataset, draw_in_all, draw_per_class, with_validation
from featbench.errors import UsageError


@dataclass(frozen=True)
class Sample:
    """How many images are drawn to learn from; by default all are used.

    A draw takes the images whose id, hashed with the seed, comes first: each seed is another draw,
    the same one for every method and machine, and an image added to the data moves at most itself
    into it. A smaller draw of one seed is part of a larger one.

    Parameters
    ----------
    shots : int, optional
        So many images of each class, from train alone: val is left out.
    n_train : int, optional
        So many of train, whatever their class.
    n_val : int, optional
        Likewise of val; of a fifth of train where the source has none.
    """

    shots: int | None = None
    n_train: int | None = None
    n_val: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                raise UsageError(f"{name} {value}: expected 1 or more")
        if self.shots is not None and (self.n_train is not None or self.n_val is not None):
            raise UsageError("shots is so many of each class, n_train and n_val are so many in all:"
                             " give one or the other")  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Return what is part of a run's identity; nothing where all images are used."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def draw(self, dataset: Dataset, *, seed: int, split_seed: int = 0) -> Dataset:
        """Return the data set with the images that are drawn, and its whole test split.

        Parameters
        ----------
        dataset : Dataset
            All images.
        seed : int
            Which draw.
        split_seed : int
            Of the fifth of train that val is drawn from, where the source has no val.
        """
        if self.shots is not None:
            train = draw_per_class(dataset.train, self.shots, seed=seed)
            return dataset.with_splits({"train": train, "test": dataset.test})
        if self.n_val is not None:
            dataset = with_validation(dataset, split_seed=split_seed)
        wanted = {"train": self.n_train, "val": self.n_val}
        return dataset.with_splits({
            name: split if (count := wanted.get(name)) is None
            else draw_in_all(split, count, seed=seed)
            for name, split in dataset.splits.items()
        })  # fmt: skip

    def shortage(self, dataset: Dataset, drawn: Dataset) -> str:
        """Return one line where there are fewer images than were asked for; else nothing."""
        if self.shots is not None:
            counts = [int((drawn.train.labels == i).sum()) for i in range(len(dataset.classes))]
            few = sum(count < self.shots for count in counts)
            return f"shots={self.shots}: {few} of {len(counts)} classes have fewer" if few else ""
        lacking = [
            f"{name}={value}: there are {len(drawn.splits[name[2:]])}"
            for name, value in self.describe().items() if len(drawn.splits[name[2:]]) < value
        ]  # fmt: skip
        return "; ".join(lacking)
