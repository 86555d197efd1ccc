"""What this machine is told once, before any heavy work begins."""

import contextlib
import ctypes
import functools
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@functools.cache
def keep_memory() -> bool:
    """Tell glibc's allocator to keep freed memory, once; return whether it listened.

    A CPU forward allocates and frees every activation. By default glibc hands such blocks back to
    the kernel, and page faults are then most of the time.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library (musl)
        return False
    wanted = ((_M_MMAP_THRESHOLD, 2**30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**28))
    return all(mallopt(option, value) == 1 for option, value in wanted)


@contextlib.contextmanager
def flush_denormals() -> Iterator[None]:
    """Let the CPU take numbers too small for full precision as zero, while training.

    Adam's running means decay into that range, where an operation takes up to a hundred cycles:
    without this an epoch was seen to become four times slower than the first one.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


_core_limit: list[int] = []


def use_cores(count: int) -> None:
    """Let this process use so many processors and no more, torch's threads among it.

    Parameters
    ----------
    count : int
        A worker's share.
    """
    import torch

    _core_limit[:] = [count]
    torch.set_num_threads(count)


def cores() -> int:
    """Return how many processors this process may use."""
    if _core_limit:
        return _core_limit[0]
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Return how much memory this machine has, in bytes; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def peak_memory_mb() -> float:
    """Return the most memory this process has held so far, in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


_CGROUP = Path("/sys/fs/cgroup")
_ACCOUNTS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat",
     "total_inactive_file"),
)  # fmt: skip
"""Of cgroup v2 and v1: the limit, what is used, its parts, and the part that can be had back."""

_memory_limits: list[int] = []


@contextlib.contextmanager
def limit_memory(size: int | None) -> Iterator[None]:
    """Let what plans its memory use at most so many bytes; None leaves things as they are."""
    if size is None:
        yield
        return
    _memory_limits.append(size)
    try:
        yield
    finally:
        _memory_limits.pop()


def memory_limit() -> int:
    """Return how many bytes one big matrix may take: as set, else half of what is free now."""
    return _memory_limits[-1] if _memory_limits else free_memory() // 2


def free_memory() -> int:
    """Return how many bytes this process may still take: of the machine's, and of its cgroup's."""
    return min(_available(), *(_left_in(_CGROUP, names) for names in _ACCOUNTS))


def _left_in(folder: Path, names: tuple[str, str, str, str]) -> int:
    """Return the bytes left in a cgroup; a great many where it has no limit or is not there.

    Files that were read lie in memory as the group's, and the kernel drops those that were not
    read lately when it needs the room (``inactive_file``): they count as free, as for the machine.
    """
    limit, used, counts, idle = names
    try:
        most = (folder / limit).read_text().strip()
        if most == "max":
            return sys.maxsize
        taken = int((folder / used).read_text())
        lines = map(str.split, (folder / counts).read_text().splitlines())
        files = next((int(count) for name, count in lines if name == idle), 0)
        return max(0, int(most) - max(0, taken - files))
    except (OSError, ValueError):
        return sys.maxsize


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


@contextlib.contextmanager
def one_core_each() -> Iterator[Callable[[], None]]:
    """Give what threads do first so that torch uses one core in each; the caller's keeps all."""
    import torch

    count = torch.get_num_threads()  # also settles this thread's own number
    try:
        yield lambda: torch.set_num_threads(1)
    finally:
        torch.set_num_threads(count)  # for threads that are born later


def ahead(
    work: Callable[[T], U],
    items: Iterable[T],
    most: int,
    threads: int,
    begin: Callable[[], None] | None = None,
) -> Iterator[U]:
    """Yield ``work(item)`` in order, while threads do at most ``most`` more of them.

    Parameters
    ----------
    work : callable
        What threads do.
    items : iterable
        Of what.
    most : int
        So many results wait at most: memory stays bounded.
    threads : int
        How many.
    begin : callable, optional
        What each thread does first.
    """
    with ThreadPoolExecutor(threads, initializer=begin) as pool:
        waiting: deque[Future[U]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
