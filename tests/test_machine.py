"""How much memory may be planned with."""

from pathlib import Path

import pytest

from featbench import machine

GIB = 2**30
STAT = f"anon 5\ninactive_file {2 * GIB}\ntotal_inactive_file {3 * GIB}\nactive_file {GIB}\n"


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_available", lambda: 64 * GIB)
    return tmp_path


def test_without_a_cgroup_the_machines_memory_counts(cgroup: Path) -> None:
    assert machine.free_memory() == 64 * GIB


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [(16 * GIB, 10 * GIB, 8), (16 * GIB, 20 * GIB, 0), (16 * GIB, GIB, 16), ("max", GIB, 64),
     (200 * GIB, GIB, 64)],
    ids=["idle files are free", "over the limit", "nothing but files", "no limit", "a high limit"],
)  # fmt: skip
def test_of_a_cgroup_its_idle_files_are_free(
    limit: int | str, used: int, free: int, cgroup: Path
) -> None:
    (cgroup / "memory.max").write_text(f"{limit}\n")
    (cgroup / "memory.current").write_text(f"{used}\n")
    (cgroup / "memory.stat").write_text(STAT)
    assert machine.free_memory() == free * GIB


def test_of_an_old_cgroup_too(cgroup: Path) -> None:
    own = cgroup / "memory"
    own.mkdir()
    (own / "memory.limit_in_bytes").write_text(f"{16 * GIB}\n")
    (own / "memory.usage_in_bytes").write_text(f"{10 * GIB}\n")
    (own / "memory.stat").write_text(STAT)
    assert machine.free_memory() == 9 * GIB
    (own / "memory.limit_in_bytes").write_text("9223372036854771712\n")  # what no limit looks like
    assert machine.free_memory() == 64 * GIB


def test_a_cgroup_that_cannot_be_read_is_none(cgroup: Path) -> None:
    (cgroup / "memory.max").write_text("a lot\n")
    (cgroup / "memory.current").write_text("some\n")
    (cgroup / "memory.stat").write_text("")
    assert machine.free_memory() == 64 * GIB
