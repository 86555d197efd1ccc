"""A file is whole or not there, and what a killed writer leaves behind does not stay."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from featbench import files
from featbench.files import write_whole

_KILLED = """
import os, signal, sys
from pathlib import Path
from featbench import files
os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write_whole(Path(sys.argv[1]), b"half")
"""


def killed_writer(folder: Path) -> Path:
    """Let a process be killed between writing a file and giving it its name; return what stays."""
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder / "a.json")], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = folder.iterdir()
    return left


@pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="needs Linux's /proc")
def test_the_next_write_clears_what_a_killed_process_left(tmp_path: Path) -> None:
    left = killed_writer(tmp_path)
    assert left.read_bytes() == b"half"
    write_whole(tmp_path / "b.json", b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


@pytest.mark.parametrize("whose", ["a running process's", "another machine's", "nobody's"])
def test_what_may_still_be_written_stays(whose: str, tmp_path: Path) -> None:
    machine, process = files._processes() or "0" * 8, os.getpid()
    if whose == "another machine's":
        machine, process = f"{int(machine, 16) ^ 1:08x}", 4_000_000
    name = "notes.tmp" if whose == "nobody's" else f"a.json.{machine}-{process}-01234567.tmp"
    (tmp_path / name).write_bytes(b"")
    write_whole(tmp_path / "b.json", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"b.json", name}


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "a.json", b"first")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "a.json", b"second")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]
