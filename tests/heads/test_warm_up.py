"""No fit's time has the compiler's in it."""

import pytest

from featbench.heads import HEADS, create_head


@pytest.mark.parametrize("name", sorted(HEADS))
def test_warming_up_fits_no_head(name: str) -> None:
    head = create_head(name)
    head.warm_up()
    assert not hasattr(head, "core_")


@pytest.mark.parametrize("settings", [
    {"calibrate": "platt", "preprocess": "whiten"}, {"class_weight": {7: 2.0}},
    {"strategy": "one-vs-rest"},
])  # fmt: skip
def test_an_svm_is_compiled_whatever_its_settings_want_of_rows(settings: dict) -> None:
    from featbench.heads._smo import solve_pairs

    create_head("svm-linear", **settings).warm_up()
    assert solve_pairs.signatures
