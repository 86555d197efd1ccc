"""Stages that differ by their seed are one method, by whatever run each goes on from."""

from typing import Any

from featbench.experiments import Result, method_key
from featbench.experiments._method_key import name_before

BEFORE: dict[str, Any] = {"dataset": "photos", "fingerprint": "f", "network": "lenet5",
                          "weights": "random", "cut": "pixels", "method": "fine-tune"}  # fmt: skip


def key_of(own: int, fingerprint: str = "f", **before: Any) -> str:
    """Return the key of a stage that goes on from a run of these fields."""
    earlier = Result(run_id=f"e{own}", **{**BEFORE, "seed": own, **before})
    fields = {**BEFORE, "fingerprint": fingerprint, "weights": f"run:{earlier.run_id}"}
    name = name_before(earlier, fingerprint, own)
    return method_key(Result(run_id=f"s{own}", seed=own, init_method=name, **fields))


def test_each_seed_goes_on_from_its_own() -> None:
    assert key_of(0) == key_of(1)
    assert key_of(0) == key_of(1, settings={"random_state": 1})


def test_what_went_before_tells_stages_apart() -> None:
    others = [
        key_of(0),
        key_of(0, settings={"lr": 1.0}),
        key_of(0, init_method="another"),
        key_of(0, fingerprint="g"),
        key_of(0, seed=5),
        method_key(Result(run_id="", **BEFORE)),
    ]
    assert len(set(others)) == len(others)


def test_stages_on_several_data_sets_are_one_method() -> None:
    here, there = (Result(run_id="e", **{**BEFORE, "fingerprint": name}) for name in "fg")
    assert name_before(here, "f", 0) == name_before(there, "g", 0)
    assert name_before(here, "f", 0) != name_before(here, "g", 0)
