"""Options that follow a data set's source: some of its classes, another share of test images."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featbench.datasets._dataset import Dataset, Split
from featbench.datasets._registry import DATASETS
from featbench.errors import UsageError, did_you_mean

_OPTIONS = ("classes", "test")
_OPTION = r":[a-z_]+=[^:/\\]*"
_WITH_OPTIONS = re.compile(rf"(?P<place>.+?)(?P<options>({_OPTION})+)")


@dataclass(frozen=True)
class Source:
    """What ``load_dataset`` is given, taken apart.

    The options are part of the source's text (``cifar10.zip:classes=cat,dog:test=0.3``), so
    whatever keeps the text, a recipe or a result, opens the same images again.

    Parameters
    ----------
    place : str
        A name, folder, zip or table.
    classes : tuple of str
        Only these classes, by name or number, in the source's own order; all where none is named.
    test : float, optional
        The source's own splits are put together, and about this share of the images is test.
    """

    place: str
    classes: tuple[str, ...] = ()
    test: float | None = None

    @classmethod
    def read(cls, text: str) -> "Source":
        """Take a source's text apart.

        Raises
        ------
        UsageError
            For an option that there is not, is given twice, or has a value that cannot be.
        """
        found = _WITH_OPTIONS.fullmatch(text)
        if found is None or text in DATASETS or Path(text).expanduser().exists():
            return cls(text)
        given: dict[str, str] = {}
        for option in found["options"].split(":")[1:]:
            name, _, value = option.partition("=")
            if name not in _OPTIONS:
                raise UsageError(f"data {text}: there is no option {name!r}"
                                 f"{did_you_mean(name, _OPTIONS)} Options: classes=A,B "
                                 "and test=0.3")  # fmt: skip
            if name in given:
                raise UsageError(f"data {text}: {name} is given twice")
            given[name] = value
        classes = tuple(given["classes"].split(",")) if "classes" in given else ()
        return cls(found["place"], classes, _share(text, given.get("test")))

    @property
    def options(self) -> str:
        """The options' text, in one spelling; empty without any."""
        classes = f":classes={','.join(self.classes)}" if self.classes else ""
        return classes + ("" if self.test is None else f":test={self.test:g}")

    @property
    def name(self) -> str:
        """What a data set from here is called before it is opened."""
        return Path(self.place).stem + self.options

    @property
    def whole(self) -> str:
        """The text with a path in full, for use from another folder."""
        path = Path(self.place).expanduser()
        is_path = self.place not in DATASETS and path.exists()
        return (str(path.resolve()) if is_path else self.place) + self.options

    def choose(self, dataset: Dataset) -> Dataset:
        """Return what the options leave of a data set that was opened at the place.

        Raises
        ------
        UsageError
            For a class that it has not.
        """
        if not self.options:
            return dataset
        splits, classes = dict(dataset.splits), dataset.classes
        if self.classes:
            labels = sorted(dataset.by_label(dict.fromkeys(self.classes)))
            splits = {name: _only(split, labels) for name, split in splits.items()}
            classes = tuple(classes[label] for label in labels)
        if self.test is not None and splits:
            first, *others = splits.values()
            splits = {"train": sum(others, start=first)}
        return replace(
            dataset, name=dataset.name + self.options, source=dataset.source + self.options,
            classes=classes, splits=splits,
        )  # fmt: skip


def _share(text: str, given: str | None) -> float | None:
    if given is None:
        return None
    try:
        share = float(given)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UsageError(f"data {text}: test={given}: expected a share between 0 and 1, such as "
                         "0.3")  # fmt: skip
    return share


def _only(split: Split, labels: list[int]) -> Split:
    """Return a split's images with these labels, which become 0, 1, … in this order."""
    kept = split.take(np.flatnonzero(np.isin(split.labels, labels)))
    return replace(kept, labels=np.searchsorted(labels, kept.labels).astype(np.int64))
