"""A result that cannot be read is left out and named; the others are shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from featbench.errors import FeatbenchError
from featbench.experiments import ResultStore, load_results
from featbench.report import write_report
from tests.conftest import Said
from tests.report.test_report import result, saved


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three results, of which one is cut off and one has a field that nobody knows."""
    store = saved(tmp_path, *(result(i, test_accuracy=0.5 + i / 10) for i in (1, 2, 3)))
    path = store.folder / f"{2:012x}" / "result.json"
    path.write_bytes(path.read_bytes()[:100])
    path = store.folder / f"{3:012x}" / "result.json"
    path.write_text(path.read_text().replace('"seed"', '"sede"'))
    return store.folder


def test_commands_show_the_rest_and_end_with_something_to_look_at(
    results: Path, featbench: Callable[..., Said], tmp_path: Path
) -> None:
    for command in (("table", results), ("results", "ls", "--results", results),
                    ("report", results, "-o", tmp_path / "r.html")):  # fmt: skip
        said = featbench(*command)
        assert said.code == 3
        assert said.err.count("left out: ") == 2
        assert f"{results / f'{2:012x}'}/result.json: is not a result" in said.err
    assert "60.0" in featbench("table", results).out
    page = (tmp_path / "r.html").read_text()
    assert page.count("Left out: ") == 2
    said = featbench("results", "show", f"{1:012x}"[:12], "--results", results)
    assert said.code == 0
    assert featbench("results", "show", f"{2:012x}", "--results", results).code == 1


def test_in_python_it_is_an_error(results: Path) -> None:
    with pytest.raises(FeatbenchError, match="is not a result of this version"):
        load_results(results)
    store = ResultStore(results, leave_out=True)
    assert [one.run_id for one in store.all()] == [f"{1:012x}"]
    assert len(store.unreadable) == 2
    assert store.get(f"{1:012x}").test_accuracy == 0.6


def test_a_report_of_failures_alone_says_so(tmp_path: Path) -> None:
    store = saved(tmp_path, result(1, status="failed", error="no", test_accuracy=None))
    page = write_report(store, tmp_path / "r.html").read_text()
    assert "photos: no run has finished." in page
    assert "0 finished runs;" in page
