"""Pretrained networks on pictures of another size: an option of the name, like the small ones'."""

from pathlib import Path

import pytest

from featbench.errors import UsageError
from featbench.experiments import Run
from featbench.extraction._spec import spec_of
from featbench.networks import check_network, create_network
from tests.experiments.test_session import session
from tests.experiments.test_trained_model import tuned_run


def test_a_size_changes_the_picture_and_not_the_weights() -> None:
    own, small = (create_network(n, "random") for n in ("resnet18", "resnet18:size=64:resize=72"))
    assert small.sha256 == own.sha256
    steps = small.preprocessing
    assert (steps.resize, steps.crop, steps.mean) == (72, (64, 64), own.preprocessing.mean)
    assert steps.interpolation == own.preprocessing.interpolation
    assert small.name == "resnet18:resize=72:size=64" == check_network("resnet18:size=64:resize=72")
    assert spec_of(small).key != spec_of(own).key


@pytest.mark.parametrize(
    ("name", "resize", "size"),
    [
        ("resnet18:size=112", 128, 112),
        ("resnet18:resize=128", 128, 112),
        ("efficientnet_lite0:size=112", 128, 112),
        ("timm/resnet18:size=64", 67, 64),
    ],
)
def test_one_of_the_two_gives_the_other_in_the_weights_proportion(
    name: str, resize: int, size: int
) -> None:
    steps = create_network(name, "random").preprocessing
    assert (steps.resize, steps.crop) == (resize, (size, size))
    assert steps.shape == (3, size, size)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit_b_16:size=64", r"cannot work on 64 x 64 pixels \(Wrong image height"),
        ("resnet18:size=8", "size=8: expected 16 to 1024"),
        ("resnet18:size=2000", "size=2000: expected 16 to 1024"),
        ("resnet18:size=64:resize=60", "resize=60: expected 64"),
        ("resnet18:hiden=3", "no option 'hiden'.*Options: resize=0, size=0"),
        ("resnet18:size=x", "expected a whole number"),
        ("resnte18:size=64", "did you mean 'resnet18'"),
        ("timm/resnet18:sise=64", "did you mean 'size'"),
    ],
)
def test_what_cannot_be_is_told(name: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        create_network(name, "random")


def test_a_trained_one_is_saved_and_asked_at_its_size(photos: Path, tmp_path: Path) -> None:
    here = session(tmp_path)
    first = here.run(tuned_run(photos, "mobilenet_v3_small:size=32", weights="random"))
    assert first.network == "mobilenet_v3_small:size=32"
    assert first.preprocessing["crop"] == [32, 32]
    again = here.run(
        tuned_run(photos, "mobilenet_v3_small:size=32", init_from=first.run_id, blocks=0)
    )
    assert again.init_from == [first.run_id]
    head = here.run(
        Run(str(photos), "mobilenet_v3_small:size=48", f"run:{first.run_id}", head="centroid")
    )
    assert head.status == "ok"
