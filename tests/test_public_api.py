"""Every exported name can be imported, and says what it takes."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import featbench

ROOMS = [
    "datasets", "networks", "augmentation", "extraction", "heads", "finetune", "experiments",
    "report", "statistics",
]  # fmt: skip
EXPORTED = [("featbench", name) for name in featbench.__all__] + [
    (f"featbench.{room}", name)
    for room in ROOMS
    for name in importlib.import_module(f"featbench.{room}").__all__
]


@pytest.mark.parametrize(("module", "name"), EXPORTED)
def test_exported_names_are_there_and_documented(module: str, name: str) -> None:
    exported = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(exported) or inspect.isfunction(exported)):
        return  # a registry or a constant, explained where it is defined
    text = inspect.getdoc(exported)
    assert text, f"{name} has no docstring"
    wanted = [
        p for p in inspect.signature(exported).parameters.values() if p.name not in ("self", "cls")
    ]
    if wanted and not getattr(exported, "_is_protocol", False):
        assert "Parameters\n" in text or "Return" in text.splitlines()[0], f"{name}: parameters?"


@pytest.mark.parametrize(("module", "name"), EXPORTED)
def test_parameters_are_explained_under_their_names(module: str, name: str) -> None:
    exported = getattr(importlib.import_module(module), name)
    text = inspect.getdoc(exported) or ""
    if (
        not (inspect.isclass(exported) or inspect.isfunction(exported))
        or "Parameters\n" not in text
    ):
        return
    section = re.split(r"\n\n(?=\w+\n-{3,})", text.split("Parameters\n")[1])[0]
    named = re.findall(r"(?m)^(\w[\w, ]*)(?: : .*)?$", section.partition("\n")[2])
    explained = {one.strip() for names in named for one in names.split(",")} - {""}
    assert explained <= set(inspect.signature(exported).parameters), name


def test_importing_featbench_imports_no_torch() -> None:
    code = "import sys, featbench; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'extracts'"):
        _ = featbench.extracts
