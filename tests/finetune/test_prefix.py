"""The frozen part runs once, in 16 bits, within a budget; or on every batch, with the same end."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from featbench.datasets import Dataset, load_dataset
from featbench.errors import UsageError
from featbench.finetune import FineTuneClassifier, _budget
from featbench.networks import create_network
from tests.conftest import Notes, make_photos


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = make_photos(tmp_path_factory.mktemp("f") / "p", {"train": 16, "val": 6, "test": 8})
    return load_dataset(root)


def tune(data: Dataset, cache: Path, **options: Any) -> FineTuneClassifier:
    options = {"network": "lenet5", "weights": "random", "epochs": 3, "batch": 8, **options}
    return FineTuneClassifier(cache=cache, **options).fit(data)


def end_of(model: FineTuneClassifier) -> tuple[bytes, list[dict[str, float]]]:
    """Return every weight's bytes, and the history without times."""
    tensors = model.network_.module.state_dict().values()
    weights = b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)
    return weights, [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]


@pytest.mark.parametrize(("network", "blocks"), [("lenet5", 2), ("mobilenet_v3_small", 1)])
def test_a_first_run_and_one_from_the_cache_end_alike_to_the_byte(
    network: str, blocks: int, data: Dataset, tmp_path: Path
) -> None:
    first, again = (tune(data, tmp_path, network=network, blocks=blocks) for _ in range(2))
    assert first.inputs_.costs["rows_computed"] == 90
    assert again.inputs_.costs["rows_computed"] == 0
    assert end_of(first) == end_of(again)
    for name, tensor in first.inputs_.tensors.items():
        faded = network == "mobilenet_v3_small"  # random weights: what it gives is 1e-8
        assert tensor.dtype == (torch.float32 if faded else torch.float16)
        assert torch.equal(tensor, again.inputs_.tensors[name])


def test_the_features_are_kept_in_full(data: Dataset, tmp_path: Path) -> None:
    assert tune(data, tmp_path, blocks=0).inputs_.tensors["train"].dtype == torch.float32


def test_over_the_budget_the_frozen_part_runs_on_every_batch(data: Dataset, tmp_path: Path) -> None:
    notes = Notes()
    plain = tune(data, tmp_path, blocks=1, activation_budget=21_599, reporter=notes)
    assert plain.inputs_.prefix == "plain"
    (line,) = (line for line in notes.lines if line.startswith("activations"))
    assert line.startswith("activations at fc2: 240 B an image, 21.6 KB in all, but")
    cached = tune(data, tmp_path, blocks=1, activation_budget=21_600, reporter=notes)
    assert cached.inputs_.prefix == "cached"
    assert notes.lines.count("activations at fc2: 240 B an image, 21.6 KB in all") == 1
    assert tune(data, tmp_path, blocks="all", activation_budget=1).inputs_.prefix == ""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_ways_are_as_accurate_and_freeze_the_same(
    precision: str, data: Dataset, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"blocks": 3, "epochs": 8, "precision": precision}
    cached = tune(data, tmp_path, **options)
    plain = tune(data, tmp_path, activation_budget=1, **options)
    assert cached.score(data.test) > 0.8
    assert abs(cached.score(data.test) - plain.score(data.test)) <= 2 / 24
    ours, theirs = (model.history_[0]["train_loss"] for model in (cached, plain))
    assert ours == pytest.approx(theirs, rel=1e-3)  # later Adam makes much of little
    start = create_network("lenet5", classes=3).module.state_dict()
    for name, tensor in plain.network_.module.state_dict().items():
        assert torch.equal(tensor, start[name]) == name.startswith(("conv1", "fc3_"))


def test_both_ways_are_equal_where_sixteen_bits_hold_every_value(tmp_path: Path) -> None:
    """Black and white pixels and weights of a few bits: every sum is exact, in any order."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 6), ("test", 6)):
        for number, name in enumerate(("few", "many")):
            (tmp_path / "p" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = (rng.random((28, 28)) < 0.3 + 0.3 * number).astype(np.uint8) * 255
                Image.fromarray(pixels).save(tmp_path / "p" / split / name / f"{i}.png")
    weights = create_network("lenet5", classes=2).module.state_dict()
    for name in ("conv1.weight", "conv1.bias"):
        weights[name] = torch.from_numpy(rng.integers(-8, 8, weights[name].shape) / 64).float()
    torch.save(weights, tmp_path / "few_bits.pth")
    data = load_dataset(tmp_path / "p")
    how: dict[str, Any] = {"weights": str(tmp_path / "few_bits.pth"), "blocks": 3}
    cached, plain = (
        tune(data, tmp_path / "c", activation_budget=budget, **how) for budget in (None, 1)
    )
    assert (cached.inputs_.prefix, plain.inputs_.prefix) == ("cached", "plain")
    assert end_of(cached) == end_of(plain)


def test_frozen_batch_norm_stays_as_it_is_the_plain_way(data: Dataset, tmp_path: Path) -> None:
    model = tune(data, tmp_path, network="mobilenet_v3_small", blocks=2, epochs=1,
                 activation_budget=1)  # fmt: skip
    start = create_network("mobilenet_v3_small", "random", 3).module.state_dict()
    trained = [b.name for b in model.network_.blocks[-2:]]
    for name, tensor in model.network_.module.state_dict().items():
        above = name.startswith((*(f"{b}." for b in trained), "classifier."))
        assert torch.equal(tensor, start[name]) != above or not tensor.is_floating_point(), name


def test_other_images_are_asked_about_the_same_way(data: Dataset, tmp_path: Path) -> None:
    for budget in (None, 1):
        model = tune(data, tmp_path, blocks=1, activation_budget=budget)
        few = data.test.take([3, 5])
        np.testing.assert_allclose(
            model.predict_proba(few), model.predict_proba(data.test)[[3, 5]], atol=1e-6
        )


def test_precision_reaches_the_frozen_part(data: Dataset, tmp_path: Path) -> None:
    full, half = (
        tune(data, tmp_path, blocks=1, precision=p).inputs_ for p in ("float32", "bfloat16")
    )
    assert half.costs["rows_computed"] == 90  # another space
    assert half.costs["engine"].endswith("bfloat16")
    assert not torch.equal(full.tensors["train"], half.tensors["train"])
    torch.testing.assert_close(full.tensors["train"], half.tensors["train"], rtol=0.1, atol=0.02)
    with pytest.raises(UsageError, match="precision='float8': expected float32, bfloat16"):
        tune(data, tmp_path, precision="float8")


def test_the_default_budget_is_half_of_what_is_free(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def way(memory: int, disk: int) -> tuple[str, str]:
        notes = Notes()
        monkeypatch.setattr(_budget, "free_memory", lambda: memory)
        usage = type("Usage", (), {"free": disk})
        monkeypatch.setattr(_budget.shutil, "disk_usage", lambda _: usage)
        prefix = tune(data, tmp_path / "new", blocks=1, epochs=1, reporter=notes).inputs_.prefix
        return prefix, next(line for line in notes.lines if line.startswith("activations"))

    prefix, said = way(10**9, 30_000)
    assert prefix == "plain"
    assert f"half of the free disk space at {tmp_path / 'new'} allows 15 KB" in said
    prefix, said = way(43_198, 10**9)
    assert prefix == "plain"
    assert "half of the free memory allows 21.6 KB" in said
    assert way(43_200, 43_200)[0] == "cached"
    assert way(10**9, 1_000)[0] == "cached"  # what is there already needs no room
