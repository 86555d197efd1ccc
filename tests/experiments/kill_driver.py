"""``featbench run``, killed at random moments until it is done: the undisturbed run's table.

Used by test_kills.py, and by hand:

    python -m tests.experiments.kill_driver FOLDER KILLS RECIPE.toml [OPTION of featbench run]…

Two kills of three are SIGKILL, one is Ctrl-C (SIGINT), each to the whole process group. Where a
recipe is done before there were so many, it is begun anew in empty folders: another life. After
every kill what lies there is looked at, at the end of every life it is compared.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featbench.experiments import Result, ResultStore
from featbench.extraction import verify
from featbench.files import TEMPORARY
from featbench.report import FORMATS, make_table
from tests.experiments.extraction_log import check_stored_once, extracted

COSTS = {
    "extract_seconds", "extract_seconds_cold", "fit_seconds", "predict_seconds", "finished",
    "images_per_second", "peak_memory_mb", "rows_computed", "rows_cached", "command",
}  # fmt: skip
"""What a kill may change: how long it took, and what was computed again."""
_ROOT = Path(__file__).parents[2]
_EARLY = 0.2
_DONE = (0, 3)  # there may be something to look at in the data
_PATIENCE = 120.0


@dataclass
class Account:
    """What was done to a recipe, and what it came to.

    Parameters
    ----------
    seconds, idle : float
        An undisturbed run's; and one's that finds everything done.
    killed, interrupted, lives : int
        How often.
    ends : list of int
        How interrupted runs ended; a second Ctrl-C may have been needed.
    slowest_end : float
        Seconds from a Ctrl-C to the end.
    most_left : int
        The most temporary files that were there at once after a kill.
    progress : list of int
        Finished runs after each kill.
    table : str
        As every life came to it, without times.
    rows : int
        Rows of values in the store.
    extractions : list of str
        Of the last life.
    """

    seconds: float = 0.0
    idle: float = 0.0
    killed: int = 0
    interrupted: int = 0
    lives: int = 0
    ends: list[int] = field(default_factory=list)
    slowest_end: float = 0.0
    most_left: int = 0
    progress: list[int] = field(default_factory=list)
    table: str = ""
    rows: int = 0
    extractions: list[str] = field(default_factory=list)


class Home:
    """The folders of one life.

    Parameters
    ----------
    folder : Path
        Made anew.
    words : sequence of str
        The recipe, and options of ``featbench run``.
    """

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.cache, self.results = folder / "cache", folder / "results"
        self.cache.mkdir(parents=True)
        self._said = folder / "said.txt"
        self._command = [sys.executable, "-m", "featbench", "run", *words, "--json",
                         "--cache", str(self.cache), "--results", str(self.results)]  # fmt: skip

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the command in a process group of its own."""
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        with self._said.open("ab") as said:
            return subprocess.Popen(
                self._command, cwd=_ROOT, env=environment, start_new_session=True,
                stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip

    def end(self, process: "subprocess.Popen[bytes]") -> list[Result]:
        """Wait for a command that nobody kills; return its results in the recipe's order."""
        out, _ = process.communicate()
        assert process.returncode in _DONE, (process.returncode, self.last_words())
        return [Result.model_validate(one) for one in json.loads(out)]

    def last_words(self) -> str:
        """Return what was said last on stderr."""
        return self._said.read_text(errors="replace")[-2000:]

    def begin_as(self, other: "Home") -> None:
        """Take over which engine each feature space begins with, and no row.

        The fastest is measured, so another run may choose another one, whose rows agree to 1e-4 and
        not to the byte.
        """
        for description in other.cache.glob("*/space.json"):
            folder = self.cache / description.parent.name
            folder.mkdir()
            shutil.copy(description, folder)

    def left_over(self) -> list[Path]:
        """Return what should not be there when all is done."""
        everywhere = [*self.cache.rglob("*"), *self.results.rglob("*")]
        return [path for path in everywhere if path.suffix in (TEMPORARY, ".damaged")
                or path.name == "checkpoint"]  # fmt: skip

    def files(self) -> dict[str, str]:
        """Return what is kept of every run but its times and its model, by name."""
        found = {}
        for path in sorted(self.results.rglob("*")):
            name = str(path.relative_to(self.results))
            if path.name == "result.json":
                found[name] = json.dumps(without_costs(json.loads(path.read_text())))
            elif path.name == "history.csv":
                lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
                found[name] = "\n".join(lines)  # seconds are last
            else:
                found[name] = path.read_text() if path.name == "predictions.csv" else ""
        return found


def without_costs(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without its costs, nor those of its ledger."""
    left = {name: value for name, value in result.items() if name not in COSTS}
    left["ledger"] = [{k: v for k, v in line.items() if k != "seconds"}
                      for line in result["ledger"]]  # fmt: skip
    return left


def table_of(home: Home, results: Sequence[Result]) -> str:
    """Return the table as programs get it, without costs."""
    made = make_table(ResultStore(home.results), results)
    rows = json.loads(FORMATS["json"](made))
    kept = [{name: value for name, value in row.items() if name not in COSTS} for row in rows]
    return json.dumps({"rows": kept, "notes": made.notes}, indent=1)


def look_at(home: Home, undisturbed: dict[str, str]) -> int:
    """Fail where a result is there and not whole, or is not the undisturbed run's; count them."""
    there = home.files()
    done = [name for name in there if name.endswith("result.json")]
    for name in done:
        folder = name.removesuffix("result.json")
        for other in (n for n in undisturbed if n.startswith(folder)):
            assert there.get(other) == undisturbed[other], other
    return len(done)


def trial(words: Sequence[str], folder: Path, *, kills: int, seed: int = 0,
          say: Callable[[str], None] = print) -> Account:  # fmt: skip
    """Run a recipe undisturbed, then with so many kills; fail where what comes of it differs.

    Parameters
    ----------
    words : sequence of str
        The recipe, and options of ``featbench run``.
    folder : Path
        Where lives are lived.
    kills : int
        So many, SIGKILL and SIGINT together.
    seed : int
        Of the moments.
    say : callable
        Is told what happens.
    """
    account, chance = Account(), random.Random(seed)
    first = Home(folder / "undisturbed", words)
    began = time.monotonic()
    account.table = table_of(first, first.end(first.start()))
    account.seconds = time.monotonic() - began
    expected = first.files()
    began = time.monotonic()
    assert table_of(first, first.end(first.start())) == account.table, "looked at again"
    account.idle = time.monotonic() - began
    assert first.files() == expected, "looking at finished runs changes them"
    check_end(first, account, expected)
    runs = sum(name.endswith("result.json") for name in expected)
    say(f"undisturbed: {runs} runs in {account.seconds:.0f} s; to find all done takes "
        f"{account.idle:.0f} s")  # fmt: skip
    # the longest wait comes to a fifth of the work, or there would be few kills in each life
    longest = account.idle + (account.seconds - account.idle) / 5
    while account.killed + account.interrupted < kills:
        home = Home(folder / f"life{account.lives}", words)
        home.begin_as(first)
        account.lives += 1
        while account.killed + account.interrupted < kills:
            process = home.start()
            early = chance.random() < _EARLY  # often enough it has not begun to work
            try:
                process.communicate(timeout=chance.uniform(0 if early else account.idle, longest))
                assert process.returncode in _DONE, home.last_words()
                break  # done before it was killed
            except subprocess.TimeoutExpired:
                kill(process, account, interrupt=(account.killed + account.interrupted) % 3 == 1)
            account.most_left = max(account.most_left, sum(
                path.suffix == TEMPORARY for path in home.left_over()))  # fmt: skip
            account.progress.append(look_at(home, expected))
            say(f"life {account.lives}: {account.killed} killed, {account.interrupted} "
                f"interrupted, {account.progress[-1]} of {runs} runs done")  # fmt: skip
        assert table_of(home, home.end(home.start())) == account.table, "another table"
        check_end(home, account, expected)
    return account


def kill(process: "subprocess.Popen[bytes]", account: Account, *, interrupt: bool) -> None:
    """End a process group, by force or as Ctrl-C does, and wait until it has ended."""
    os.killpg(process.pid, signal.SIGINT if interrupt else signal.SIGKILL)
    began = time.monotonic()
    try:
        process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"Ctrl-C did not end it in {_PATIENCE:.0f} s") from None
    if not interrupt:
        account.killed += 1
        return
    account.interrupted += 1
    account.ends.append(process.returncode)
    account.slowest_end = max(account.slowest_end, time.monotonic() - began)


def check_end(home: Home, account: Account, expected: dict[str, str]) -> None:
    """Fail unless what is kept is the undisturbed run's, and nothing else is."""
    there = home.files()
    assert there.keys() == expected.keys(), sorted(there.keys() ^ expected.keys())
    differing = [name for name in expected if there[name] != expected[name]]
    assert not differing, differing
    assert not home.left_over(), home.left_over()
    assert not list(verify(home.cache))
    account.rows = check_stored_once(home.cache)
    account.extractions = list(extracted(home.results).values())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    done = trial(sys.argv[3:], Path(sys.argv[1]), kills=int(sys.argv[2]))
    print("\n".join(f"{name}: {value}" for name, value in vars(done).items() if name != "table"))
    print("table, notes, predictions, histories and names of files equal in every life")
