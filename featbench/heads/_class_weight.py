"""What each class counts, for classifiers of our own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from featbench.training import is_number


def class_weights(
    class_weight: Any, classes: NDArray[Any], y: NDArray[Any], *, zero: bool = True
) -> NDArray[np.float64]:
    """Return one weight a class, shape (n_classes,), as scikit-learn's ``class_weight`` has it.

    Parameters
    ----------
    class_weight : None, 'balanced' or dict
        1 each; n / (n_classes · rows of the class) (King and Zeng 2001); or label to weight, 1
        where the label is not named.
    classes : ndarray, shape (n_classes,)
        The labels, sorted.
    y : ndarray, shape (n,)
        A label a row.
    zero : bool
        Whether a class may count nothing.

    Raises
    ------
    ValueError
        For another value, a label that is no class, or a weight that cannot be.
    """
    check_class_weight(class_weight)
    weights = np.asarray(compute_class_weight(class_weight, classes=classes, y=y), dtype=np.float64)
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            f"class_weight={class_weight!r}: weights need to be finite, none below 0, one above 0"
        )
    if not zero and weights.min() == 0:
        raise ValueError(f"class_weight={class_weight!r}: weights need to be above 0 here")
    return weights


def check_class_weight(class_weight: Any) -> None:
    """Refuse what is no ``class_weight`` for any labels; raises ValueError."""
    if isinstance(class_weight, dict):
        for label, weight in class_weight.items():
            if not is_number(weight, lambda value: value >= 0):
                raise ValueError(
                    f"class_weight={class_weight!r}: {label!r} has {weight!r}; weights need to be "
                    "finite numbers, none below 0"
                )
    elif class_weight is not None and class_weight != "balanced":
        raise ValueError(
            f"class_weight={class_weight!r}: expected None, 'balanced' or a dict of label: weight"
        )
