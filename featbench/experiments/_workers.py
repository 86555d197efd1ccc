"""Runs in worker processes, each with its share of cores and memory."""

import contextlib
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from featbench.errors import FeatbenchError
from featbench.experiments._result import Result
from featbench.experiments._run import Run
from featbench.experiments._session import Session
from featbench.machine import cores, free_memory, use_cores
from featbench.progress import Reporter


@dataclass
class _Told(Reporter):
    """Keeps what a worker says, for its parent to say."""

    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Keep one line."""
        self.lines.append(line)


@dataclass(frozen=True)
class _Done:
    """What a worker gives back of one chain of runs."""

    results: list[tuple[Run, Result]]
    lines: list[str]
    skipped: dict[str, str]
    problems: dict[str, None]


def work_in_parallel(
    session: Session, runs: Sequence[Run], jobs: int
) -> Iterator[tuple[Run, Result]]:
    """Do runs in worker processes; yield them with their results as they come.

    Runs that must all follow each other are done here: one worker would only be in the way.

    Parameters
    ----------
    session : Session
        Whose results and cache are used, and whose reporter is told.
    runs : sequence of Run
        In working order; their features are in the store.
    jobs : int
        How many workers, at most.

    Raises
    ------
    FeatbenchError
        When a worker died.
    """
    chains = chained(runs)
    if len(chains) == 1:
        yield from zip(chains[0], session.run_all(chains[0]), strict=True)
        return

    import joblib
    from joblib.externals.loky import get_reusable_executor
    from joblib.externals.loky.process_executor import BrokenProcessPool

    jobs = min(jobs, len(chains))
    share = max(1, cores() // jobs)
    threads = threads_each(share)
    options = _shared_out(session.options, jobs)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    try:
        with joblib.parallel_config("loky", inner_max_num_threads=threads):
            for done in parallel(joblib.delayed(_work)(options, c, share, threads) for c in chains):
                for line in done.lines:
                    session.reporter.say(line)
                session.skipped |= done.skipped
                session.problems |= done.problems
                for run, result in done.results:
                    yield run, session.tell(result)
    except BrokenProcessPool as error:
        raise FeatbenchError(
            "a worker process died, perhaps because memory ran out: run the same command again "
            "with fewer --jobs; finished runs are kept"
        ) from error
    finally:  # also on Ctrl-C: no worker goes on alone
        with contextlib.suppress(BrokenProcessPool):
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _shared_out(options: dict[str, Any], jobs: int) -> dict[str, Any]:
    """Return a session's options with the memory divided among workers; the parent tells MLflow."""
    half = free_memory() // 2
    memory = {name: (options[name] or half) // jobs for name in ("memory", "activation_budget")}
    return {**options, **memory, "mlflow": None}


def chained(runs: Sequence[Run]) -> list[list[Run]]:
    """Divide runs into lists whose members must follow each other in one process.

    Those are runs that go on from each other, and runs that train above the same cut: the first of
    them fills the store.

    Parameters
    ----------
    runs : sequence of Run
        In working order.
    """
    chains: list[list[Run]] = []
    chain_of: dict[str, list[Run]] = {}
    at_cut: dict[str, list[Run]] = {}
    for run in runs:
        cut = _cut(run)
        chain = chain_of.get(run.init_from.key) if isinstance(run.init_from, Run) else None
        if chain is None and cut:
            chain = at_cut.get(cut)
        if chain is None:
            chain = []
            chains.append(chain)
        chain.append(run)
        chain_of[run.key] = chain
        if cut:
            at_cut.setdefault(cut, chain)
    return chains


def _cut(run: Run) -> str:
    """Return what names the frozen values below trained blocks; empty where there are none."""
    if run.head or run.blocks in ("all", "pixels"):
        return ""
    where = (run.data, run.limit, run.network, run.weights, run.blocks, run.precision)
    return json.dumps(where)


_sessions: dict[str, tuple[Session, _Told]] = {}
"""A worker's session: kept between its runs, as are the data, network and features in it."""


def threads_each(share: int) -> int:
    """Return how many threads a worker computes with: no more than one process would.

    The number decides the last bits of some sums, so with ``OMP_NUM_THREADS=1`` several processes
    come to the bytes that one comes to.

    Parameters
    ----------
    share : int
        Processors that each worker may use.
    """
    import torch

    return min(share, torch.get_num_threads())


def _work(options: dict[str, Any], runs: list[Run], share: int, threads: int) -> _Done:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    use_cores(share)
    torch.set_num_threads(threads)
    name = json.dumps(options, sort_keys=True)
    if name not in _sessions:
        told = _Told()
        _sessions.clear()
        _sessions[name] = Session(**options, reporter=told), told
    session, told = _sessions[name]
    session.skipped.clear()
    session.problems.clear()
    with contextlib.suppress(FeatbenchError):  # what cannot be opened fails as a run
        session.open_data(runs)
    told.lines.clear()  # the parent has said what there is to say of the data
    results = list(zip(runs, session.run_all(runs), strict=True))
    return _Done(results, list(told.lines), dict(session.skipped), dict(session.problems))
