"""The page shows what was recorded, and nothing that was recorded can break it."""

from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Result, ResultStore
from featbench.report import write_report

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
    for outside in ('src="', "@import", "url(http", 'href="http'):
        assert outside not in page
    assert page.count("<svg") == page.count('role="img"') >= 4
    assert "95.0% of 100 test images right" in page
    assert "Runs that failed" in page
    assert "prefers-color-scheme: dark" in page


def test_a_title_and_a_note_are_the_recipes_own_and_only_text(tmp_path: Path) -> None:
    store = saved(tmp_path, result(recipe="a"))
    page = write_report(
        store, tmp_path / "r.html", recipe="a", title="Leaves <b>", note="Ten draws & more."
    ).read_text()
    assert '<h1 dir="auto">Leaves &lt;b&gt;</h1>' in page
    assert "Recipe a: 1 finished run; written" in page
    assert "Ten draws &amp; more." in page
    assert (
        '<h1 dir="auto">featbench: a</h1>'
        in write_report(store, tmp_path / "r.html", recipe="a").read_text()
    )


def test_the_page_is_of_one_recipe_when_asked(tmp_path: Path) -> None:
    store = saved(tmp_path, result(recipe="a"), result(2, recipe="b", dataset="elsewhere"))
    page = write_report(store, tmp_path / "r.html", recipe="a").read_text()
    assert "photos" in page
    assert "elsewhere" not in page
    with pytest.raises(UsageError, match=r"--recipe c: .* has no such runs\. Recipes there: a, b"):
        write_report(store, tmp_path / "r.html", recipe="c")
