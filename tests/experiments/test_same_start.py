"""``init_seed``: runs of several seeds begin with one network and differ by what training draws."""

from pathlib import Path

import pytest
import torch

from featbench.errors import UsageError
from featbench.experiments import Run
from tests.experiments.test_session import session
from tests.experiments.test_stages import frozen, tensors
from tests.experiments.test_trained_model import tuned_run


def test_the_start_is_the_same_and_the_course_is_not(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)

    def weights(seed: int, init_seed: int | None, **settings: object) -> torch.Tensor:
        hidden = {"hidden": [8], **settings}
        run = tuned_run(photos, seed=seed, init_seed=init_seed, settings=hidden)
        found = tensors(here, here.run(run))
        return torch.cat([found[name].flatten() for name in sorted(found)])

    def apart(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a - b).abs().max())

    still = frozen()
    assert apart(weights(0, 0, **still), weights(1, 0, **still)) < 1e-9
    assert apart(weights(0, None, **still), weights(1, None, **still)) > 1e-3
    assert apart(weights(0, 0), weights(1, 0)) > 1e-4, "another order of the images"
    assert apart(weights(0, 0), weights(0, None)) == 0, "its own seed is the same start"


def test_it_is_part_of_what_a_run_is_only_where_it_is_given(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    plain, own = (here.run(tuned_run(photos, init_seed=seed)) for seed in (None, 0))
    assert plain.run_id != own.run_id
    assert (plain.init_seed, own.init_seed) == (None, 0)


def test_it_goes_with_fresh_weights_that_are_trained() -> None:
    for fields in ({"head": "logreg"}, {"blocks": 1, "init_from": "abc"}):
        with pytest.raises(UsageError, match="init_seed goes with blocks, and without init_from"):
            Run("digits", "lenet5", init_seed=1, **fields)  # type: ignore[arg-type]
