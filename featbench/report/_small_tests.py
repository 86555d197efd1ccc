"""Where test images are few: which differences they cannot tell, whatever comes out."""

import shlex
from collections.abc import Iterator, Sequence
from itertools import count

from featbench.experiments import FINE_TUNE
from featbench.report._comparison import Compared
from featbench.report._rows import Row, of_data
from featbench.statistics import mcnemar

_WIDE = 0.20  # an interval from which on test images are called few


def small_test_notes(compared: Sequence[Compared], rows: Sequence[Row]) -> Iterator[str]:
    """Say of each data set whose intervals are wide what its test images cannot tell.

    Parameters
    ----------
    compared : sequence of Compared
        What the rows were compared in.
    rows : sequence of Row
        Those that are shown. Said is something where the accuracy of a single run has an interval
        of more than 20 points; with groups of images these count, and the comparison tells of it.

    Notes
    -----
    The least difference is ``least_difference``'s, of one pair. With Holm's correction over more
    pairs a larger one is needed.
    """
    places = {run.run_id: one for one in compared for runs in one.methods for run in runs}
    for data, same in of_data(rows):
        wide = [row for row in same if len(row.runs) == 1 and row.standing
                and row.standing.interval.high - row.standing.interval.low > _WIDE]  # fmt: skip
        if not wide or (one := places[wide[0].first.run_id].comparison).n_groups is not None:
            continue
        least = least_difference(one.n_images)
        told = (
            "too few for McNemar's test to tell any two runs apart" if least is None
            else f"differences below {100 * least:.1f} points cannot be told apart (McNemar's "
                 "test of two runs, even if only one of them is ever right alone)"
        )  # fmt: skip
        yield (
            f"{data}: {one.n_images:,} test image{'s' * (one.n_images != 1)}: {told}; "
            f"{_more(wide[0])}."
        )


def least_difference(n_images: int) -> float | None:
    """Return the least difference of accuracies that McNemar's test can find at 5%, a fraction.

    That is b / n, with b the fewest images for which p (mid-p) is below 0.05 where one of two runs
    has all b right that the other has wrong, and none is the other way round: p is then 2^-b, so b
    is 5. Every pair that disagrees on more images needs a larger difference. None where fewer
    than b images are there.

    Parameters
    ----------
    n_images : int
        Test images, at least one.

    References
    ----------
    As ``featbench.statistics.mcnemar``: Fagerland, Lydersen and Laake (2013).
    """
    fewest = next(b for b in count(1) if mcnemar(b, 0) < 0.05)
    return fewest / n_images if fewest <= n_images else None


def _more(row: Row) -> str:
    one = row.first
    from_file = one.method != FINE_TUNE and not one.rows_computed + one.rows_cached
    if from_file or ":test=" in one.dataset:
        return "hold out more, or add images"
    source = shlex.quote(f"{one.source or one.dataset}:test=0.4")
    return f"hold out more with --data {source} (all images are divided anew), or add images"
