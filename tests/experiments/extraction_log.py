"""What the results say of how often images were run: every row of features once."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from featbench.experiments import ResultStore
from featbench.experiments._features_in_hand import LOG
from featbench.extraction._shard import read_shard


def log_of(results: Path) -> list[dict[str, Any]]:
    """Return the lines of extractions.jsonl: each time that features were got from the store."""
    return [json.loads(line) for line in (results / LOG).read_text().splitlines()]


def extracted(results: Path) -> dict[str, str]:
    """Return the feature spaces of the log, and say each one's extraction; fail where it was two.

    A feature space is one feature set: a network with its weights, a layer and a precision.
    """
    lines: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in log_of(results):
        lines[line["space"]].append(line)
    said = {}
    for space, those in lines.items():
        computed = [one["rows_computed"] for one in those if one["rows_computed"]]
        images = max(one["rows_computed"] + one["rows_cached"] for one in those)
        what = f"{those[0]['network']} ({those[0]['weights']}) {those[0]['layer']}"
        assert sum(computed) <= images, f"{what}: {computed} rows computed of {images} images"
        said[space] = f"{what}: {images} images, computed {computed}"
    return said


def check_once(results: Path, feature_sets: int) -> None:
    """Fail unless so many feature sets were extracted, each once and whole."""
    said = extracted(results)
    assert len(said) == feature_sets, said
    for line in log_of(results):
        assert not (line["rows_computed"] and line["rows_cached"]), line
    computed = [line["space"] for line in log_of(results) if line["rows_computed"]]
    assert sorted(computed) == sorted(said), "a feature set is computed in two steps, or never"


def check_cut_once(results: Path) -> None:
    """Fail unless runs that train above one cut computed its values once, all together.

    Rows of a training run are its values at the cut, and its warm start's features.
    """
    rows: defaultdict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for one in ResultStore(results).all():
        if one.method == "fine-tune" and one.prefix:
            at = (one.fingerprint, one.network, one.weights, one.cut, one.precision)
            seed = str(one.seed) if one.weights == "random" else ""
            rows[(*at, seed)].append((one.rows_computed, one.rows_cached))
    for at, those in rows.items():
        computed = [one for one, _ in those if one]
        assert len(computed) <= 1, f"{' '.join(at[1:4])}: {those}"


def check_stored_once(cache: Path) -> int:
    """Fail where an image's row is in the store twice; return how many rows there are."""
    count = 0
    for folder in cache.iterdir():
        held: Counter[tuple[bytes, int]] = Counter()
        for path in folder.glob("*.h5") if folder.is_dir() else ():
            shard = read_shard(path, with_rows=False)
            held.update(zip(shard.images.tolist(), shard.views.tolist(), strict=True))
        assert not [key for key, times in held.items() if times > 1], folder
        count += len(held)
    return count
