"""The report asks for nothing, sorts, says every picture in words, and cannot be broken by text."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from featbench.experiments import Predictions, Result, ResultStore
from featbench.report import write_report
from tests.chromium import chromium
from tests.conftest import Said
from tests.report.test_report import HOSTILE, result

Command = Callable[..., Said]
CLASSES = ['<img src=x onerror="alert(1)">', "=cmd()", "\\input", 'a "b"\n', "חתול (גדול)", "گربه"]


def hostile(tmp_path: Path) -> ResultStore:
    """Return results with everything that a page shows, whose every text means harm."""
    store = ResultStore(tmp_path / "results")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 120)
    for number, share in enumerate((0.9, 0.6, 0.3), 1):
        wrong = rng.random(120) > share
        said = (labels + wrong) % 6
        chances = np.full((120, 6), 0.1)
        chances[np.arange(120), said] = 0.5
        ledger = [
            {"settings": {"C": HOSTILE}, "accuracy": 0.5, "seconds": 1.0, "problem": ""},
            {"settings": {"C": 2}, "accuracy": None, "seconds": 1.0, "problem": HOSTILE},
        ]
        one = result(
            number, dataset=HOSTILE, command=HOSTILE, network=HOSTILE[: 20 * number],
            fit_seconds=10.0 * number, test_accuracy=1 - wrong.mean(), n_test=120, test_ece=0.1,
            source="/nowhere", rows_cached=9, ledger=ledger, selection={"tune": 2},
            versions={"a": HOSTILE}, method="fine-tune" if number == 3 else "logreg",
            n_classes=6,
        )  # fmt: skip
        history = [{"epoch": e, "train_loss": 1 / e, "train_accuracy": 0.5} for e in (1, 2)]
        table = Predictions([f"{i}{HOSTILE}.jpg" for i in range(120)], labels, said, chances)
        store.save(one, table.as_csv(CLASSES), history if number == 3 else ())
    store.save(result(9, status="failed", error=HOSTILE, test_accuracy=None))
    return store


def without_data(page: str) -> str:
    return re.sub(r"data:[a-z/]+;base64,[^\"]*", "", page)


def test_the_page_has_every_part_and_no_way_out(tmp_path: Path) -> None:
    page = write_report(hostile(tmp_path), tmp_path / "r.html").read_text()
    for part in (
        "of 120 test images right", "Accuracy against fitting time", "Training curves",
        "Confusion of the best", "Calibration", "Wrong predictions", "What was tried",
        "Runs that failed", "To do it again", "are not told apart", "prefers-color-scheme: dark",
        "@media print", "The images cannot be shown: /nowhere: no such",
    ):  # fmt: skip
        assert part in page, part
    bare = without_data(page)
    assert bare.count("<script") == 1
    for outside in ("<img src=x", "@import", "url(http", 'src="http', 'href="http', "fetch("):
        assert outside not in bare
    ids = re.findall(r' id="([^"]*)"', bare)
    assert len(ids) == len(set(ids))


def test_in_a_browser_it_asks_for_nothing_sorts_and_says_its_pictures(tmp_path: Path) -> None:
    path = write_report(hostile(tmp_path), tmp_path / "r.html")
    with chromium() as page:
        page.open(path)
        asked = [url for url in page.requests if not url.startswith("data:")]
        assert asked == [path.as_uri()]
        alone = page.run(
            "[...document.querySelectorAll('svg')]"
            ".filter(p => !p.closest('[role=img][aria-label]')?.ariaLabel.trim()).length"
            "+ [...document.querySelectorAll('img')].filter(p => !p.alt.trim()).length"
        )
        assert alone == 0
        assert page.run("document.querySelectorAll('svg').length") >= 5
        column = page.run(
            "[...document.querySelector('table').tHead.rows[0].cells]"
            ".findIndex(h => h.textContent.startsWith('test %'))"
        )
        click = f"document.querySelector('table').tHead.rows[0].cells[{column}]"
        cells = (
            "[...document.querySelector('table').tBodies[0].rows]"
            f".map(r => r.cells[{column}].dataset.value ?? '').join(' ')"
        )
        page.run(f"{click}.querySelector('button').click()")
        falling = [float(x) for x in page.run(cells).split()]
        assert falling == sorted(falling, reverse=True)
        assert page.run(f"{click}.ariaSort") == "descending"
        page.run(f"{click}.querySelector('button').click()")
        assert [float(x) for x in page.run(cells).split()] == sorted(falling)
        for width in (1200, 390):
            for dark in (False, True):
                page.look(width, dark=dark)
                assert page.run("document.documentElement.scrollWidth") <= width
                ground = page.run("getComputedStyle(document.body).backgroundColor")
                assert ground == ("rgb(20, 25, 31)" if dark else "rgb(246, 248, 250)")
                shade = page.run("getComputedStyle(document.querySelector('.card')).background")
                assert "local" in shade  # over the edge beyond which there is more to scroll to
        assert page.printed().startswith(b"%PDF")
        assert [url for url in page.requests if not url.startswith("data:")] == asked
        assert page.complaints == []


def test_the_browser_test_sees_a_request_and_a_complaint(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('x')</script>")
    with chromium() as page:
        page.open(path)
        assert "http://127.0.0.1:9/x.png" in page.requests
        assert len(page.complaints) >= 1


def test_wrong_predictions_are_small_images_with_words(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    said = featbench(
        "fit", "--backbone", "lenet5", "--data", photos, "--head", "centroid", "--json"
    )
    run = json.loads(said.out)
    name = (run[0] if isinstance(run, list) else run)["run_id"]
    table = tmp_path / "results" / name / "predictions.csv"
    table.write_text(table.read_text().replace(",moss,moss,", ",moss,sky,"))
    said = featbench("report", "-o", "r.html")
    assert said.code == 0, said.err
    page = (tmp_path / "r.html").read_text()
    assert page.count('alt="moss, taken for sky"') >= 6
    assert "6 of 18 test images are wrong" in page
    images = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', page)
    assert len(images) >= 6
    assert sum(map(len, images)) < 250_000
    moved = photos.rename(tmp_path / "elsewhere")
    featbench("report", "-o", "r.html")
    assert "The images cannot be shown" in (tmp_path / "r.html").read_text()
    featbench("report", "-o", "r.html", "--data", moved)
    assert "taken for sky" in (tmp_path / "r.html").read_text()


def test_a_few_shot_run_shows_its_images_too(
    featbench: Command, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.toml").write_text(
        f"data = {json.dumps(str(photos))}\nshots = 1\n"
        '[[run]]\nnetwork = "lenet5"\nhead = "centroid"\n'
    )
    said = featbench("run", "r.toml", "--json")
    table = tmp_path / "results" / json.loads(said.out)[0]["run_id"] / "predictions.csv"
    table.write_text(table.read_text().replace(",moss,moss,", ",moss,sky,"))
    featbench("report", "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "taken for sky" in page
    assert "The images cannot be shown" not in page


@pytest.mark.parametrize("count", [1, 2])
def test_the_summary_says_what_can_be_told(tmp_path: Path, count: int) -> None:
    store = ResultStore(tmp_path)
    for number in range(1, count + 1):
        kept: Result = result(number, method=("logreg", "ridge")[number - 1], rows_cached=1,
                              test_accuracy=0.9)  # fmt: skip
        labels = np.arange(100) % 2
        said = np.where(np.arange(100) < 90, labels, 1 - labels)
        predictions = Predictions([str(i) for i in range(100)], labels, said)
        store.save(kept, predictions.as_csv(["a", "b"]))
    page = write_report(store, tmp_path / "r.html").read_text()
    assert "90.0% of 100 test images right (95% interval 82.6 to 94.5)" in page
    assert ("The test images do not tell it apart from" in page) == (count == 2)


def test_few_shot_runs_and_layer_sweeps_have_pictures_with_words_and_labels_needed(
    tmp_path: Path,
) -> None:
    store = ResultStore(tmp_path)
    labels = np.arange(100) % 2
    for k, right in ((1, 60), (5, 83)):
        for draw in range(3):
            one = result(10 * k + draw, sample={"shots": k}, n_per_class=k, n_train=2 * k,
                         seed=draw, rows_cached=1, test_accuracy=right / 100,
                         network=HOSTILE)  # fmt: skip
            said = np.where(np.arange(100) < right, labels, 1 - labels)
            store.save(
                one, Predictions([str(i) for i in range(100)], labels, said).as_csv(["a", "b"])
            )
    page = write_report(store, tmp_path / "few.html").read_text()
    for part in (
        "photos, 5 images a class: there is one method", "for 80% of test images right",
        "Labels needed for 80%", "60.0% with 1, 83.0% with 5",
        "pictures are of methods that learned from 5 images a class", "a class for 80%",
    ):  # fmt: skip
        assert part in page, part
    assert "Accuracy against depth" not in page
    assert "Labels needed for 70%" in write_report(
        store, tmp_path / "few.html", labels_needed=0.7
    ).read_text()  # fmt: skip
    for number, layer in enumerate(("layer1", "")):
        store.save(result(900 + number, layer=layer, rows_cached=1, parameters_total=number,
                          test_accuracy=0.9))  # fmt: skip
    page = write_report(store, tmp_path / "all.html").read_text()
    assert "90.0% at layer1, 90.0% at features" in page
    assert "Labels needed for 80%" in page
    assert "pictures are of methods" not in page
    pictures = re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert len(pictures) == page.count("<svg")
    assert all(pictures)
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_random_features_that_win_are_not_taken_for_training(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.save(result(1, rows_cached=1, test_accuracy=0.9))
    store.save(result(2, rows_cached=1, weights="bundled", test_accuracy=0.8))
    assert "Training more" not in write_report(store, tmp_path / "r.html").read_text()
