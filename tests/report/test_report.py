"""Tables and the page show what was recorded, and nothing that was recorded can break them."""

import csv
import io
import json
from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.report import as_csv, as_json, as_markdown, footnote, write_report

HOSTILE = '=cmd()|<script>alert("x")</script>\n\\input'


def result(number: int = 1, **fields: object) -> Result:
    base: dict[str, object] = {
        "run_id": f"{number:012x}",
        "dataset": "photos",
        "fingerprint": "f",
        "network": "lenet5",
        "weights": "random",
        "cut": "classifier",
        "method": "logreg",
        "n_test": 100,
        "test_accuracy": 0.9,
        "train_accuracy": 1.0,
        "fit_seconds": 1.25,
        "finished": f"2026-01-01T00:00:{number:02d}+00:00",
    }
    return Result.model_validate({**base, **fields})


def test_the_markdown_table() -> None:
    text = as_markdown([result(parameters_trainable=1234), result(2, test_accuracy=None)])
    heading, rule, first, second = text.splitlines()
    assert len({len(line) for line in (heading, rule, first, second)}) == 1
    assert "90.0" in first
    assert "82.6 to 94.5" in first
    assert "1,234" in first
    assert "–" in second
    assert "published" not in heading


def test_a_failed_run_says_so_and_a_published_figure_stands_beside_ours() -> None:
    text = as_markdown([
        result(status="failed", error="x", test_accuracy=None),
        result(2, published_test_accuracy=0.85),
    ])  # fmt: skip
    assert "failed" in text
    assert "85.0 (+5.0)" in text


def test_text_from_files_cannot_break_a_table() -> None:
    bad = result(dataset=HOSTILE, network="+1", settings={"note": HOSTILE})
    lines = as_markdown([bad]).splitlines()
    assert len(lines) == 3
    assert "<script>" not in lines[2]
    assert lines[2].replace("\\|", "").count("|") == lines[0].count("|")
    (row,) = csv.DictReader(io.StringIO(as_csv([bad])))
    assert row["dataset"] == "'" + HOSTILE
    assert row["network"] == "'+1"
    assert json.loads(as_json([bad]))[0]["dataset"] == HOSTILE


def test_the_csv_has_every_field() -> None:
    (row,) = csv.DictReader(io.StringIO(as_csv([result(settings={"C": 1})])))
    assert set(row) == set(Result.model_fields)
    assert json.loads(row["settings"]) == {"C": 1}
    assert float(row["test_accuracy"]) == 0.9


def test_the_footnote_counts_how_often_the_test_split_was_read() -> None:
    assert "100 test images, read by 2 runs" in footnote([result(), result(2)])


def saved(tmp_path: Path, *results: Result) -> ResultStore:
    store = ResultStore(tmp_path / "results")
    history = [
        {"epoch": e, "lr": 0.1, "train_loss": 1 / e, "train_accuracy": 0.5, "val_loss": 1.0,
         "val_accuracy": 0.5, "seconds": 1.0} for e in (1, 2, 3)
    ]  # fmt: skip
    for one in results:
        store.save(one, history=history if one.method == "fine-tune" else ())
    return store


def test_the_page_holds_everything_and_asks_for_nothing(tmp_path: Path) -> None:
    store = saved(
        tmp_path,
        result(),
        result(2, method="fine-tune", cut="pixels", test_accuracy=0.95),
        result(3, dataset=HOSTILE, fingerprint="g"),
        result(4, status="failed", error=HOSTILE, test_accuracy=None),
    )
    page = write_report(store, tmp_path / "deep" / "report.html").read_text()
    assert "<script" not in page
    for outside in ('src="', "@import", "url(http", '<link rel="'):
        assert outside not in page
    assert page.count("<svg") == 3
    assert page.count('role="img"') == 3
    assert "95.0% of 100 test images right" in page
    assert "Runs that failed" in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_is_of_one_recipe_when_asked(tmp_path: Path) -> None:
    store = saved(tmp_path, result(recipe="a"), result(2, recipe="b", dataset="other"))
    page = write_report(store, tmp_path / "r.html", recipe="a").read_text()
    assert "photos" in page
    assert "other" not in page
    with pytest.raises(UsageError, match="no results of recipe 'c'"):
        write_report(store, tmp_path / "r.html", recipe="c")
