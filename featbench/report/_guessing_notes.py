"""The sentences on guessing that stand below a table and in a report's summary."""

from collections.abc import Iterator, Sequence

from featbench.report._columns import percent
from featbench.report._names import labels_in_full
from featbench.report._rows import Row, heading_of, of_data

_NAMED = 5


def guessing_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Say of each data set how far guessing gets, which methods give one answer, what is not asked.

    Parameters
    ----------
    rows : sequence of Row
        Those that are shown. Of rows without predictions nothing is said.
    """
    for data, same in of_data(rows):
        shares = {row.size: row.guessing.commonest for row in same if row.guessing}
        several = len(set(shares.values())) > 1  # sizes that were compared on other images
        told = {heading_of(data, size) if several else data: x for size, x in shares.items()}
        for heading, share in told.items():
            yield (f"{heading}: always the commonest class of the test images would be right for "
                   f"{percent(share)}% of them.")  # fmt: skip
        if one_answer := _one_answer(same):
            yield f"{data}: {one_answer}"
        if absent := _absent(same):
            yield f"{data}: {absent}"


def guessing_sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Say the same of one data set, as sentences of a summary that has named it.

    Parameters
    ----------
    rows : sequence of Row
        Of one data set and size.
    """
    shares = [row.guessing.commonest for row in rows if row.guessing]
    if shares:
        yield f"Always the commonest class would be right for {percent(shares[0])}%."
    if one_answer := _one_answer(rows, "Each"):
        yield one_answer
    if absent := _absent(rows):
        yield absent


def _one_answer(rows: Sequence[Row], each: str = "each") -> str:
    """Name the methods that answer every image with one class; empty where there are none."""
    labels = labels_in_full([row.first for row in rows])
    found = [label + _seeds(row) for label, row in zip(labels, rows, strict=True)
             if row.n_one_answer]  # fmt: skip
    if len(found) < 2:
        return f"{found[0]} answers every image with the same class." if found else ""
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{each} of these answers every image with one class: {'; '.join(found[:_NAMED])}{more}."


def _absent(rows: Sequence[Row]) -> str:
    """Say which of a data set's classes have no test image; empty where all have some."""
    found = max((row.guessing for row in rows if row.guessing), key=lambda g: g.n_absent,
                default=None)  # fmt: skip
    if found is None or not found.n_absent:
        return ""
    more = f" and {len(found.absent) - _NAMED} more" if len(found.absent) > _NAMED else ""
    names = f": {', '.join(found.absent[:_NAMED])}{more}" if found.absent else ""
    has, them = ("has", "it") if found.n_absent == 1 else ("have", "them")
    return (
        f"{found.n_absent:,} of {found.n_classes:,} classes {has} no test image{names}. No "
        f"accuracy here, balanced or not, says anything of {them}."
    )


def _seeds(row: Row) -> str:
    """Say how many of a method's seeds give one answer, where not all do."""
    some = row.n_one_answer < len(row.runs)
    return f" ({row.n_one_answer} of {len(row.runs)} seeds)" if some else ""
