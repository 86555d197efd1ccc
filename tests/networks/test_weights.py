"""Weights come from files without running code, fit exactly or not at all, and have a hash."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from featbench.errors import FeatbenchError, UsageError
from featbench.networks import create_network


def test_the_bundled_weights_are_loaded_and_know_imagenet() -> None:
    network = create_network("efficientnet_lite0")
    assert network.weights == "bundled"
    assert network.sha256 != create_network("efficientnet_lite0", "random").sha256
    weight = network.module.get_parameter("conv_stem.weight")
    assert weight.abs().max() > 0.1
    assert network.module.get_buffer("bn1.running_var").std() > 0.1


def test_a_changed_bundled_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from featbench.networks import efficientnet_lite

    fake = tmp_path / "x.pth"
    fake.write_bytes(b"something else")
    monkeypatch.setattr(efficientnet_lite, "_bundled_file", lambda name: fake)
    with pytest.raises(FeatbenchError, match="not the file that was published"):
        create_network("efficientnet_lite0")


def test_random_weights_are_seeded_and_leave_the_callers_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (create_network("resnet18", "random", seed=s) for s in (0, 0, 1))
    assert torch.rand(1) == expected
    assert first.sha256 == again.sha256 != other.sha256


def test_the_hash_is_of_the_backbone_whatever_the_classes() -> None:
    few, many = (create_network("resnet18", "random", classes=c) for c in (3, 30))
    assert few.sha256 == many.sha256


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(suffix: str, tmp_path: Path) -> None:
    source = create_network("resnet18", "random", classes=9, seed=3)
    path = tmp_path / f"w{suffix}"
    tensors = source.module.state_dict()
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    loaded = create_network("resnet18", str(path))
    assert loaded.sha256 == source.sha256
    assert torch.equal(loaded.module.get_parameter("fc.weight"), tensors["fc.weight"])
    assert create_network("resnet18", str(path), classes=4).sha256 == source.sha256


def test_torchvisions_file_works_the_moment_it_lies_where_torchvision_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FeatbenchError) as told:
        create_network("resnet18")
    lines = str(told.value).splitlines()
    assert len(lines) == 2
    assert str(tmp_path / "hub/checkpoints/resnet18-f37072fd.pth") in lines[0]
    assert "--weights random|FILE" in lines[1]
    source = create_network("resnet18", "random", seed=8)
    (tmp_path / "hub/checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save(source.module.state_dict(), tmp_path / "hub/checkpoints/resnet18-f37072fd.pth")
    network = create_network("resnet18")
    assert network.weights == "IMAGENET1K_V1"
    assert network.sha256 == source.sha256


def test_old_densenet_names_and_auxiliary_heads_are_understood(tmp_path: Path) -> None:
    for name, old in (("densenet121", True), ("googlenet", False)):
        source = create_network(name, "random", seed=2)
        tensors = dict(source.module.state_dict())
        if old:
            tensors = {
                k.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): v
                for k, v in tensors.items()
            }
        else:
            tensors["aux1.fc1.weight"] = torch.zeros(3)
        torch.save(tensors, tmp_path / "w.pth")
        assert create_network(name, str(tmp_path / "w.pth")).sha256 == source.sha256


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("canary"),))


def test_a_hostile_pickle_runs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"fc.weight": Trap()}))
    with pytest.raises(UsageError, match="cannot be read as plain tensors"):
        create_network("resnet18", str(path))
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("case", ["missing", "another network", "not tensors", "no such name"])
def test_weights_that_do_not_serve_say_why(case: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    weights, expected = str(path), "no such file"
    if case == "another network":
        torch.save(create_network("lenet5").module.state_dict(), path)
        expected = "does not fit the network"
    elif case == "not tensors":
        torch.save({"epoch": 3}, path)
        expected = "holds no state_dict"
    elif case == "no such name":
        weights, expected = "IMAGENET1K_V9", "did you mean 'IMAGENET1K_V1'"
    with pytest.raises(UsageError, match=expected):
        create_network("resnet18", weights)


def test_an_unknown_network_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'resnet50'"):
        create_network("resnet5O")
    with pytest.raises(UsageError, match="did you mean 'convnext_atto'"):
        create_network("timm/convnext_ato")


def test_names_of_today_that_look_like_old_densenets_are_kept(tmp_path: Path) -> None:
    """mobilenet_v2 has ``features.1.conv.1.weight``."""
    tensors = create_network("mobilenet_v2", "random", seed=3).module.state_dict()
    save_file(tensors, tmp_path / "own.safetensors")
    again = create_network("mobilenet_v2", str(tmp_path / "own.safetensors"))
    for name, tensor in again.module.state_dict().items():
        assert torch.equal(tensor, tensors[name])
