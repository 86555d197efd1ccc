"""How well predictions agree with labels."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from featbench.experiments._result import Predictions

ECE_BINS = 15


def measure(predictions: Predictions, split: str) -> dict[str, float | None]:
    """Return one split's metrics under the names that ``Result`` gives them.

    Parameters
    ----------
    predictions : Predictions
        At least one image.
    split : str
        ``train``, ``val`` or ``test``: the names' prefix.

    Returns
    -------
    dict of str to float or None
        Accuracy, balanced accuracy (mean recall over the classes that occur), macro F1, and with
        probabilities log-loss (nats) and expected calibration error; both again, ending in
        ``_uncalibrated``, of the probabilities before calibration.
    """
    labels, predicted = predictions.labels, predictions.predicted
    right = predicted == labels
    present = np.unique(labels)
    values: dict[str, float | None] = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[labels == c].mean() for c in present])),
        "macro_f1": float(
            f1_score(labels, predicted, labels=present, average="macro", zero_division=0.0)
        ),
    }
    both = {"": predictions.probabilities, "_uncalibrated": predictions.uncalibrated}
    for suffix, chances in both.items():
        loss = error = None
        losses = predictions.losses(calibrated=not suffix)
        if chances is not None and losses is not None:
            loss = float(losses.mean())
            error = calibration_error(chances[np.arange(len(labels)), predicted], right)
        values |= {f"log_loss{suffix}": loss, f"ece{suffix}": error}
    return {f"{split}_{name}": value for name, value in values.items()}


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over 15 bins of equal width (Guo et al. 2017).

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        The probability of the predicted class.
    right : ndarray of bool, shape (n,)
        Whether the prediction is the label.
    """
    bins = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    gaps = [abs(confidence[bins == b].sum() - right[bins == b].sum()) for b in np.unique(bins)]
    return float(sum(gaps) / len(right))
