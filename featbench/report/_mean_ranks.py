"""Methods that were measured on several data sets: their mean ranks, and how far these tell."""

from collections.abc import Sequence
from dataclasses import replace

from featbench.experiments import method_key
from featbench.report._rows import Row

_FEWEST = 3  # data sets that ranks are averaged over


def with_ranks(rows: Sequence[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """Give each method that all of several data sets have its mean rank, and say what that tells.

    Parameters
    ----------
    rows : sequence of Row
        Of any number of data sets.

    Returns
    -------
    list of Row
        The same; ``rank`` is set where two methods or more, that learned from as many images, are
        on all of three data sets or more, each of another source. Two states of one data set
        (images were added, say), or one source with other options (``photos`` and
        ``photos:test=0.3``), are no two that chance made: with such there are no ranks. Same
        images under two names are not known as such.
    tuple of str
        Friedman's test and the critical difference of each such size; empty where there are no
        ranks.

    Notes
    -----
    Three is the least that can be called several, and few: Demšar (2006, JMLR 7:1, section 3.2.2)
    takes Friedman's chi-squared for right with more than 10 data sets and more than 5 methods.
    Iman and Davenport's correction of it, the less conservative test that he names there, is told.
    """
    ranked, notes = list(rows), []
    for size in dict.fromkeys(row.size for row in rows):
        places = [i for i, row in enumerate(rows) if row.size == size]
        found, note = _of_size([rows[i] for i in places])
        for i, row in zip(places, found, strict=True):
            ranked[i] = row
        if note:
            notes.append(f"{size}: {note}" if size else note)
    return ranked, tuple(notes)


def _of_size(rows: Sequence[Row]) -> tuple[list[Row], str]:
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        if not row.failed and row.accuracy is not None:
            scores.setdefault(_key(row), {})[row.data] = row.accuracy
    sets = list(dict.fromkeys(row.data for row in rows if not row.failed))
    names = {row.data: row.first.dataset for row in rows if not row.failed}
    sources = {name.partition(":")[0] for name in names.values()}
    if len(sources) < max(_FEWEST, len(names)):
        return list(rows), ""
    everywhere = [key for key, found in scores.items() if len(found) == len(sets)]
    if len(everywhere) < 2:
        return list(rows), ""
    from featbench.statistics import critical_difference, friedman, mean_ranks

    table = [[scores[key][data] for key in everywhere] for data in sets]
    ranks = dict(zip(everywhere, mean_ranks(table).tolist(), strict=True))
    apart = critical_difference(len(everywhere), len(sets))
    note = (
        f"rank: mean over {len(sets)} data sets of the {len(everywhere)} methods that all have; "
        f"Friedman's test with Iman and Davenport's correction p {_p_value(friedman(table).p_f)}; "
        f"ranks less than {apart:.2f} apart are not told apart at 5% (Nemenyi)."
    )
    return [
        replace(row, rank=ranks.get(_key(row)) if not row.failed else None) for row in rows
    ], note


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"


def _key(row: Row) -> str:
    return method_key(row.first.model_copy(update={"fingerprint": ""}))
