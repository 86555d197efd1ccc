"""What is given class by class finds its label."""

from typing import Any

import numpy as np
import pytest

from featbench.datasets import Dataset, Split
from featbench.errors import UsageError

EMPTY = Split((), np.zeros(0, np.int64), ())


def with_classes(*classes: str) -> Dataset:
    return Dataset("animals", "animals.zip", classes, {"train": EMPTY, "test": EMPTY})


@pytest.mark.parametrize(
    ("classes", "given", "by_label"),
    [
        (("cat", "dog"), {"dog": 2.0}, {1: 2.0}),
        (("cat", "dog"), {"1": 2.0, 0: 3.0}, {1: 2.0, 0: 3.0}),
        (("10", "2", "0"), {"0": 5.0}, {2: 5.0}),
        (("10", "2", "0"), {0: 5.0, "1": 6.0}, {2: 5.0, 1: 6.0}),
    ],
    ids=["names", "numbers", "a name first", "a name first, however it is written"],
)
def test_a_class_is_known_by_its_name_or_number(
    classes: tuple[str, ...], given: dict[Any, float], by_label: dict[int, float]
) -> None:
    assert with_classes(*classes).by_label(given) == by_label


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"dgo": 1.0}, r"animals.zip: has no class 'dgo'; did you mean 'dog'\? Classes: cat, dog"),
        ({"2": 1.0}, "has no class '2'"),
        ({-1: 1.0}, "has no class -1"),
        ({True: 1.0}, "has no class True"),
        ({1.0: 1.0}, "has no class 1.0"),
        ({"dog": 1.0, 1: 2.0}, "'dog' is given twice"),
    ],
)
def test_what_is_no_class_is_refused(given: dict[Any, float], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        with_classes("cat", "dog").by_label(given)
