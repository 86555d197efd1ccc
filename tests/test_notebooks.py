"""What a notebook shows: small, harmless, and readable on light and on dark."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import featbench as fb
from featbench.datasets import Dataset
from featbench.experiments import FeatureTable, Result, ResultStore, load_features
from featbench.extraction import Features
from featbench.networks import GivenWeights
from featbench.report import make_table
from tests.conftest import make_photos
from tests.report.test_report import result

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> =cmd() $x$\n\u202eab\x1b[2J"
Shown = Callable[[Path], tuple[Any, list[str]]]


class Tags(HTMLParser):
    """Collects tags, and sees that each is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def a_dataset(folder: Path) -> tuple[Dataset, list[str]]:
    names = [f"{letter}{HOSTILE}" for letter in "ab"]
    photos = sorted(make_photos(folder / "photos", {"": 6}).glob("*/*.jpg"))[:12]
    lines = [("path", "label")] + [
        (str(path.relative_to(folder)), names[i // 6]) for i, path in enumerate(photos)
    ]
    table = folder / "photos.csv"
    pd.DataFrame(lines[1:], columns=lines[0]).to_csv(table, index=False)
    dataset = replace(fb.load_dataset(str(table)), name=f"photos{HOSTILE}")
    return dataset, ["photos", "train", "test", "2: a"]


def some_features(folder: Path) -> tuple[Features, list[str]]:
    dataset, _ = a_dataset(folder)
    found = fb.extract(dataset, "lenet5", cache=folder / "cache")
    return found, ["lenet5 (random)", "12 rows computed", "×84", "float32"]


def a_file_of_features(folder: Path) -> tuple[FeatureTable, list[str]]:
    labels = np.array([f"{letter}{HOSTILE}" for letter in "ab" * 6])
    np.savez(folder / "rows.npz", X=np.random.default_rng(0).random((12, 3)), y=labels)
    return load_features(folder / "rows.npz"), ["rows.npz", "rows a class"]


def a_result(_: Path) -> tuple[Result, list[str]]:
    one = result(
        dataset=HOSTILE, network=HOSTILE, recipe=HOSTILE, given={"C": HOSTILE}, device=HOSTILE,
        test_log_loss=0.25, test_ece=0.01, val_accuracy=0.5,
    )  # fmt: skip
    return one, ["accuracy 90.0%", "log-loss 0.250", "ECE 1.0%", "2026-01-01 00:00", "100.0% 50.0%"]


def a_failed_result(_: Path) -> tuple[Result, list[str]]:
    return result(status="failed", error=HOSTILE, test_accuracy=None), ["failed: "]


def a_table(folder: Path) -> tuple[Any, list[str]]:
    store = ResultStore(folder / "results")
    runs = [result(i, dataset=HOSTILE, fingerprint=str(i % 2), network=HOSTILE, seed=0,
                   method=m) for i, m in enumerate(("logreg", "knn", "ridge"))]  # fmt: skip
    for run in runs:
        store.save(run)
    return make_table(store, runs), ["90.0", "knn", "Wilson"]


SHOWN = [a_dataset, some_features, a_file_of_features, a_result, a_failed_result, a_table]


@pytest.mark.parametrize("make", SHOWN)
def test_it_says_what_matters_and_nothing_in_it_acts(make: Shown, tmp_path: Path) -> None:
    shown, expected = make(tmp_path)
    html = shown._repr_html_()
    for text in expected:
        assert text in html
    tags = Tags(html)
    assert tags.names <= {
        "div", "style", "table", "thead", "tbody", "tr", "th", "td", "p", "h2", "strong", "em",
    }  # fmt: skip
    assert tags.attributes <= {"class", "scope", "dir", "data-value"}
    assert not re.search("[\u202e\x1b]", html)
    assert "&lt;script&gt;" in html
    assert "⟨U+202E⟩" in html


@pytest.mark.parametrize("make", SHOWN)
def test_it_is_small_and_has_no_colour_of_its_own(make: Shown, tmp_path: Path) -> None:
    shown, _ = make(tmp_path)
    html = shown._repr_html_()
    assert len(html) < 12_000
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"color|background|border:|#[0-9a-f]{3}", style)
    assert all(rule.strip().startswith(".featbench ") for rule in style.splitlines()[1:])


def test_what_is_kept_beside_it_as_text_is_small_too(tmp_path: Path) -> None:
    """A notebook's file has each object's repr as well: no list of all images, no tensors."""
    features, _ = some_features(tmp_path)
    dataset = features.dataset
    network = fb.create_network("lenet5", classes=2)
    given = GivenWeights("run:1", "lenet5", network.module.state_dict(), network.preprocessing, 2)
    tuned = fb.FineTuneClassifier("lenet5", given)
    for one in (dataset, dataset.train, features, features.train, tuned, given,
                load_features(_rows(tmp_path))):  # fmt: skip
        assert len(repr(one)) < 1000, repr(one)
        assert "tensor(" not in repr(one)
    assert repr(features).startswith("<Features 'lenet5 on photos")
    assert "tensor(" not in tuned._repr_html_()


def _rows(folder: Path) -> Path:
    a_file_of_features(folder)
    return folder / "rows.npz"


def test_heads_are_shown_as_scikit_learn_shows_its_own() -> None:
    rows = np.random.default_rng(0).random((12, 3))
    head = fb.create_head("svm-poly", C=3).fit(rows, [0, 1] * 6)
    assert "Fitted" in head._repr_html_()
    hostile = fb.FineTuneClassifier(HOSTILE, class_weight={HOSTILE: 1.0})
    for one in (head, hostile):
        html = one._repr_html_()
        assert not re.search("<img|<script>alert", html)


def test_columns_of_all_results_have_types_that_hang_on_no_value(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    empty = fb.load_results(tmp_path)
    store.save(result(1, status="failed", error="x", test_accuracy=None, finished=""))
    failed = fb.load_results(tmp_path)
    store.save(result(2, best_epoch=3, published_source="somebody", test_ece=0.5))
    both = fb.load_results(tmp_path)
    assert list(both) == list(Result.model_fields)
    assert empty.dtypes.equals(failed.dtypes)
    assert failed.dtypes.equals(both.dtypes)
    kinds = both.dtypes
    assert kinds["test_accuracy"] == kinds["test_ece"] == kinds["fit_seconds"] == "float64"
    assert kinds["seed"] == kinds["n_test"] == "int64"
    assert kinds["best_epoch"] == kinds["n_per_class"] == kinds["parameters_total"] == "Int64"
    assert pd.api.types.is_string_dtype(kinds["method"])
    assert kinds["error"] == kinds["published_source"] == kinds["method"]
    assert kinds["settings"] == kinds["ledger"] == kinds["versions"] == "object"
    assert str(kinds["finished"]) == "datetime64[ms, UTC]"
    assert both["error"].isna().tolist() == [False, True]
    assert both["test_accuracy"].isna().tolist() == [True, False]
    assert both.groupby("method")["test_accuracy"].mean().item() == 0.9
    assert (both["finished"] > "2026-01-01").tolist() == [False, True]


def test_showing_a_result_imports_nothing_heavy() -> None:
    code = (
        "import sys; from featbench.experiments import Result;"
        "Result(run_id='1', dataset='d', network='n', weights='w', method='m')._repr_html_();"
        "heavy = {'torch', 'matplotlib', 'pandas', 'jinja2'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
