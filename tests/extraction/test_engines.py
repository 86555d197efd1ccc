"""Engines agree with eager float32; the choice is remembered and pinned; failing ones give way."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featbench.datasets import load_dataset
from featbench.errors import FeatbenchError, UsageError
from featbench.extraction import Features, _engines, _tuning, extract, extract_layers
from featbench.networks import create_network
from featbench.progress import Reporter
from tests.extraction.test_store import Notes

OFFERED = [e.name for e in _engines.ENGINES if "cpu" in e.devices and "openvino" not in e.name]


def run(photos: Path, cache: Path, notes: Reporter | None = None, **options: object) -> Features:
    network = create_network("mobilenet_v3_small", "random")
    data = load_dataset(photos, limit=4)
    return extract(data, network, cache=cache, reporter=notes or Notes(), **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OFFERED)
def test_every_engine_agrees_with_eager(name: str, photos: Path, tmp_path: Path) -> None:
    precision = "bfloat16" if "bfloat16" in name else "float32"
    eager = run(photos, tmp_path / "a", engine="eager")
    other = run(photos, tmp_path / "b", engine=name, precision=precision)
    assert _tuning.disagreement(other.train.X, eager.train.X, precision) is None
    assert other.engine == name
    assert (other.spec.key == eager.spec.key) == (precision == "float32")


def test_what_counts_as_agreement() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 50)).astype(np.float32)
    assert _tuning.disagreement(rows * (1 + 5e-5), rows, "float32") is None
    assert "of a row's length" in str(_tuning.disagreement(rows * 1.001, rows, "float32"))
    assert _tuning.disagreement(rows * 1.001, rows, "bfloat16") is None
    turned = rows.copy()
    turned[2] = turned[2][::-1]
    assert "cosine" in str(_tuning.disagreement(turned, rows, "bfloat16"))
    rows[0, 0] = np.inf
    assert "not finite" in str(_tuning.disagreement(rows, rows, "bfloat16"))
    zero = np.zeros((2, 3), np.float32)
    assert _tuning.disagreement(zero, zero, "float32") is None


def test_a_space_keeps_the_engine_it_began_with(photos: Path, tmp_path: Path) -> None:
    first = run(photos, tmp_path, engine="eager", batch=4)
    described = json.loads((tmp_path / first.spec.key / "space.json").read_text())
    assert (described["engine"], described["batch"]) == ("eager", 4)
    notes = Notes()
    more = extract(load_dataset(photos), create_network("mobilenet_v3_small", "random"),
                   cache=tmp_path, reporter=notes)  # fmt: skip
    assert more.rows_computed == 48 - 24
    assert more.engine == "eager"
    assert not [line for line in notes.lines if line.startswith("engine")]


def test_times_are_remembered_and_nothing_is_timed_twice(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(photos, tmp_path)
    assert (tmp_path / "engines.json").is_file()
    shutil.rmtree(tmp_path / first.spec.key)
    monkeypatch.setattr(_tuning._Contest, "_measure", lambda *_: pytest.fail("timed again"))
    assert run(photos, tmp_path).engine in ("packed", "eager", "fused")  # building costs too
    damaged = bytearray((tmp_path / "engines.json").read_bytes())
    damaged[80] ^= 1
    (tmp_path / "engines.json").write_bytes(damaged)
    assert _tuning._read_memory(tmp_path / "engines.json") == {}


def with_engine(monkeypatch: pytest.MonkeyPatch, name: str, build: Callable[..., object]) -> None:
    """Build this engine otherwise, and leave the packed ones out."""
    others = [e for e in _engines.ENGINES if not e.name.startswith("packed")]
    changed = [replace(e, build=build) if e.name == name else e for e in others]
    monkeypatch.setattr(_tuning, "ENGINES", tuple(changed))


def test_an_engine_that_fails_or_lies_gives_way(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*_: object) -> None:
        raise RuntimeError("no C++ compiler here")

    with_engine(monkeypatch, "fused", no_compiler)
    notes = Notes()
    assert run(photos, tmp_path / "a", notes).engine == "eager"
    assert any("no C++ compiler here; left out" in line for line in notes.lines)

    def lying(taps: object, preprocessing: object) -> _engines.Forward:
        honest = _engines._eager(taps, preprocessing)  # type: ignore[arg-type]
        return lambda pixels: tuple(value * 1.01 for value in honest(pixels))

    with_engine(monkeypatch, "fused", lying)
    notes = Notes()
    assert run(photos, tmp_path / "b", notes).engine == "eager"
    assert any("of a row's length; left out" in line for line in notes.lines)
    with_engine(monkeypatch, "fused", no_compiler)
    with pytest.raises(FeatbenchError, match="no C"):
        run(photos, tmp_path / "c", engine="fused")


def test_a_pinned_engine_that_cannot_run_gives_way_and_it_is_said(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(photos, tmp_path, engine="fused")

    def gone(*_: object) -> None:
        raise RuntimeError("gone")

    with_engine(monkeypatch, "fused", gone)
    notes = Notes()
    network = create_network("mobilenet_v3_small", "random")
    more = extract(load_dataset(photos), network, cache=tmp_path, reporter=notes)
    assert more.rows_computed == 24
    assert any("the engine this space began with cannot run here" in x for x in notes.lines)


def test_out_of_memory_halves_the_batch(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small_machine(taps: object, preprocessing: object) -> _engines.Forward:
        honest = _engines._eager(taps, preprocessing)  # type: ignore[arg-type]

        def forward(pixels: object) -> _engines.Values:
            if len(pixels) > 4:  # type: ignore[arg-type]
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return honest(pixels)  # type: ignore[arg-type]

        return forward

    with_engine(monkeypatch, "eager", small_machine)
    notes = Notes()
    found = run(photos, tmp_path, notes, engine="eager", batch=16)
    assert found.rows_computed == 24
    assert "eager: out of memory; going on with batches of 4" in notes.lines


def test_compiling_is_tried_only_where_it_pays(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    measure = _tuning._Contest._measure

    def watched(self: _tuning._Contest, engine: _engines.Engine) -> dict[str, float]:
        tried.append(engine.name)
        return {"rate": 50.0, "build": 9.0} if engine.compiles else measure(self, engine)

    monkeypatch.setattr(_tuning._Contest, "_measure", watched)
    run(photos, tmp_path / "few")
    assert "compiled" not in tried
    monkeypatch.setattr(_tuning, "COMPILE_SECONDS", 0.0)
    run(photos, tmp_path / "many")
    assert "compiled" in tried


def test_engines_that_are_about_as_fast_change_no_place_by_chance(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of two caches are the same then: the noise of two timings chooses nothing."""
    chosen = []
    for number, rates in enumerate(((100.0, 104.0), (104.0, 100.0), (0.5, 100.0))):
        known = dict(zip(("packed", "eager"), rates, strict=True))

        def measured(
            self: _tuning._Contest, engine: _engines.Engine, known: dict[str, float] = known
        ) -> dict[str, float]:
            return {"rate": known.get(engine.name, 0.0), "build": 0.0}

        monkeypatch.setattr(_tuning._Contest, "_measure", measured)
        chosen.append(run(photos, tmp_path / str(number)).engine)
    assert chosen == ["packed", "packed", "eager"]


def test_wrong_names_say_what_there_is(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'fused'"):
        run(photos, tmp_path, engine="fuse")
    with pytest.raises(UsageError, match="expected float32, bfloat16"):
        run(photos, tmp_path, precision="float8")


def test_several_layers_cost_one_forward(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, data = create_network("resnet18", "random"), load_dataset(photos, limit=2)
    forwards = []
    call = _tuning.Running.__call__

    def counted(self: _tuning.Running, pixels: object) -> object:
        forwards.append(1)
        return call(self, pixels)  # type: ignore[arg-type]

    monkeypatch.setattr(_tuning.Running, "__call__", counted)
    names = ["layer3", "layer4", "features"]
    together = extract_layers(data, network, names, pooling="avg", engine="eager", batch=6,
                              cache=tmp_path / "a")  # fmt: skip
    assert len(forwards) == 1 + 2  # one to start the engine, twelve images in two batches
    assert list(together) == names
    for name in names:
        alone = extract(data, network, layer=name, pooling="avg", engine="eager", batch=6,
                        cache=tmp_path / "b")  # fmt: skip
        assert np.array_equal(alone.train.X, together[name].train.X)
        assert alone.spec.key == together[name].spec.key
    added = extract_layers(data, network, ["layer2", "layer3"], pooling="avg", cache=tmp_path / "a")
    assert added["layer2"].rows_computed == 12
    assert np.array_equal(added["layer3"].train.X, together["layer3"].train.X)


@pytest.mark.parametrize(
    ("pooling", "shape"), [("avg", (256,)), ("max", (256,)), ("flat", (256 * 196,))]
)
def test_poolings(pooling: str, shape: tuple[int, ...], photos: Path, tmp_path: Path) -> None:
    network, data = create_network("resnet18", "random"), load_dataset(photos, limit=1)
    options = {"layer": "layer3", "engine": "eager", "cache": tmp_path}
    whole = extract(data, network, **options).train.X
    got = extract(data, network, pooling=pooling, **options).train.X
    assert got.shape[1:] == shape
    how = {"avg": whole.mean((2, 3)), "max": whole.max((2, 3)), "flat": whole.reshape(3, -1)}
    np.testing.assert_allclose(got, how[pooling], rtol=1e-4, atol=1e-5)


def test_tokens_have_a_first_one(photos: Path, tmp_path: Path) -> None:
    network, data = create_network("vit_b_32", "random"), load_dataset(photos, limit=1)
    layer = "encoder.layers.encoder_layer_0"
    both = extract_layers(data, network, [layer], pooling="none", cache=tmp_path)[layer].train.X
    first = extract(data, network, layer=layer, pooling="cls", cache=tmp_path).train.X
    assert first.shape == (3, 768)
    np.testing.assert_allclose(first, both[:, 0], rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="--pool cls needs tokens"):
        extract(data, create_network("resnet18", "random"), layer="layer3", pooling="cls",
                cache=tmp_path)  # fmt: skip
    with pytest.raises(UsageError, match="expected none, avg"):
        extract(data, network, pooling="mean", cache=tmp_path)
