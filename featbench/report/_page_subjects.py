"""What a report has a part for: a data set, and which of its methods the pictures are of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import floor

from featbench.experiments import Result
from featbench.report._few_shots import FewShotCurve, few_shot_curves
from featbench.report._rows import Row, heading_of, of_data, of_sizes

_STEP = 0.05


@dataclass(frozen=True)
class Subject:
    """One part of the page.

    Parameters
    ----------
    data, size : str
        The data set, and how many images the methods learned from; empty where all.
    rows : tuple of Row
        These methods, the best first.
    few : tuple of Result
        The few-shot runs that this part tells of, whatever their size.
    """

    data: str
    size: str
    rows: tuple[Row, ...]
    few: tuple[Result, ...] = ()

    @property
    def heading(self) -> str:
        """What its numbers are of."""
        return heading_of(self.data, self.size)

    @property
    def is_few_shot(self) -> bool:
        """Whether its methods are those of the largest few-shot size, for want of larger ones."""
        return "shots" in self.rows[0].first.sample

    @property
    def name(self) -> str:
        """What it is called."""
        return self.data if self.is_few_shot else self.heading

    @property
    def note(self) -> str:
        """Which methods the pictures are of, where that is not plain."""
        if not self.is_few_shot:
            return ""
        return f"But for few-shot curves, pictures are of methods that learned from {self.size}."

    @cached_property
    def curves(self) -> list[FewShotCurve]:
        """The few-shot curves."""
        return few_shot_curves(self.few)

    def goal(self, target: float | None) -> float:
        """Return the accuracy that labels are counted for.

        Parameters
        ----------
        target : float, optional
            What was asked for; by default what the best curve reaches, rounded down to 5%.
        """
        if target is not None:
            return target
        best = max(float(curve.means[-1]) for curve in self.curves)
        return min(max(_STEP, floor(best / _STEP + 1e-9) * _STEP), 1 - _STEP)


def subjects_of(rows: Sequence[Row]) -> list[Subject]:
    """Return a part for each data set and size; few-shot sizes are one with the data set's last.

    Parameters
    ----------
    rows : sequence of Row
        Of the table.
    """
    return [subject for data, same in of_data(rows) for subject in _of_one(data, same)]


def _of_one(data: str, rows: Sequence[Row]) -> Iterator[Subject]:
    ranked = [(size, _ranked(those)) for _, size, those in of_sizes(rows)]
    ranked = [(size, those) for size, those in ranked if those]
    shown = [one for one in ranked if "shots" not in one[1][0].first.sample] or ranked[-1:]
    few = tuple(run for _, those in ranked for row in those for run in row.runs
                if "shots" in run.sample)  # fmt: skip
    for size, those in shown:
        yield Subject(data, size, tuple(those), few if size == shown[-1][0] else ())


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that have an accuracy, the best first."""
    measured = [row for row in rows if not row.failed and row.accuracy is not None]
    return sorted(measured, key=lambda row: -(row.accuracy or 0.0))
