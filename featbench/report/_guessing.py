"""What accuracies alone do not tell: how far guessing gets, and which classes were never asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from featbench.experiments import Result
from featbench.statistics import MethodRun


@dataclass(frozen=True)
class Guessing:
    """What the test images' labels, and the answers to them, say of any accuracy.

    Parameters
    ----------
    commonest : float
        The share of the most frequent class among the images that are compared: the accuracy of
        always answering that one.
    one_answer : frozenset of str
        The ids of the runs that answer every test image with the same class, where the images have
        more than one.
    n_absent : int
        How many of the data set's classes have no test image.
    absent : tuple of str
        Their names; empty where they are not known. A result keeps how many classes there are and
        no list of them, so a class is known by name where it has a test image or is an answer.
    n_classes : int
        How many classes the data set has; 0 where the results do not say.
    """

    commonest: float
    one_answer: frozenset[str] = frozenset()
    n_absent: int = 0
    absent: tuple[str, ...] = ()
    n_classes: int = 0


def guessing_of(runs: Sequence[tuple[Result, MethodRun]]) -> Guessing:
    """Return what the predictions of one data set's runs say of guessing.

    Parameters
    ----------
    runs : sequence of (Result, MethodRun)
        At least one; compared with each other, so that they have images in common.
    """
    first = runs[0][1]
    labels: Sequence[str] = first.labels
    if any(run.ids != first.ids for _, run in runs):
        shared = set(first.ids).intersection(*(run.ids for _, run in runs))
        labels = [label for name, label in zip(first.ids, labels, strict=True) if name in shared]
    there: set[str] = set().union(*(run.labels for _, run in runs))
    answers = {result.run_id: set(run.predicted) for result, run in runs}
    n_classes = max(result.n_classes for result, _ in runs)
    n_absent = max(0, n_classes - len(there))
    named = sorted(set().union(*answers.values()) - there)
    return Guessing(
        max(Counter(labels).values()) / len(labels),
        frozenset(name for name, said in answers.items() if len(said) == 1 < len(there)),
        n_absent,
        tuple(named) if len(named) == n_absent else (),
        n_classes,
    )
