"""Carries out a plan: runs in the order that shares most, by one process or by several."""

from collections.abc import Iterator, Sequence

from featbench.experiments._order import in_working_order
from featbench.experiments._result import Result
from featbench.experiments._run import Run
from featbench.experiments._session import Session
from featbench.experiments._workers import work_in_parallel


def carry_out(
    session: Session, runs: Sequence[Run], *, jobs: int = 1
) -> Iterator[tuple[Run, Result]]:
    """Do every run that is not finished; a failed one becomes a Result with its error.

    With several jobs, features are extracted first, with all cores; then worker processes do runs,
    each with its share of the cores and of the memory. Runs that go on from each other, or that
    train above one cut, are one worker's, in turn: nothing is computed twice.

    Parameters
    ----------
    session : Session
        Its data sets are opened.
    runs : sequence of Run
        As in a plan, each once.
    jobs : int
        How many runs are done at once, at most.

    Yields
    ------
    Run, Result
        As they are done: not in the order of ``runs``.

    Raises
    ------
    FeatbenchError
        When a worker process died; what was finished is kept.
    """
    ordered = in_working_order(runs)
    session.open_data(ordered)
    if jobs == 1:
        yield from zip(ordered, session.run_all(ordered), strict=True)
        return
    left: list[Run] = []
    for run in ordered:
        waits = isinstance(run.init_from, Run) and run.init_from.key in {one.key for one in left}
        known = None if waits else _finished(session, run)
        if known is None:
            left.append(run)
        else:
            yield run, session.tell(known)
    yield from work_in_parallel(session, left, jobs) if left else ()


def _finished(session: Session, run: Run) -> Result | None:
    """Return a run's result where it is done; else see to it that the store has its features."""
    try:
        found = session.finished(run)
        if found is None:
            session.fill_store(run)
    except Exception:  # the run fails so again, in its worker, which records it
        return None
    return found
