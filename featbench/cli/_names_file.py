"""Names that need heavy imports to know, kept in a file so that the shell completes them at once.

Networks and heads register themselves when torch, torchvision and numba are imported, which takes
seconds. Their names are therefore written down once for each installation, and again when a file of
these rooms, torchvision, or another package's entry points changed.
"""

import hashlib
import json
import os
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import featbench
from featbench.files import read_checked, write_checked

_ROOMS = ("networks", "heads", "finetune", "extraction")
_GROUPS = ("featbench.networks", "featbench.heads")
_FORMAT = 1


def known_names() -> dict[str, Any]:
    """Return what the shell may complete.

    Returns
    -------
    dict
        ``networks``: list of names; ``heads``: names to their settings' names; ``training``: names
        of training's settings; ``values``: the values of options that take one of a few.
    """
    path = _file()
    stamp = _stamp()
    if kept := read_checked(path):
        found: dict[str, Any] = json.loads(kept)
        if found["stamp"] == stamp:
            return found
    names = {"stamp": stamp, **_collect()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_checked(path, json.dumps(names).encode())
    except OSError:
        return names  # nowhere to keep them: the next time takes as long
    return names


def _file() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "featbench" / "names.json"


def _stamp() -> str:
    """Return a text that changes when the names may have changed."""
    root = Path(featbench.__file__).parent
    files = sorted(path for room in _ROOMS for path in (root / room).glob("*.py"))
    points = sorted(f"{p.name}={p.value}" for group in _GROUPS for p in entry_points(group=group))
    about = [_FORMAT, sys.version, featbench.__version__, version("torchvision"), str(root), points]
    about += [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _collect() -> dict[str, Any]:
    from dataclasses import fields

    from featbench.extraction import POOLINGS, PRECISIONS
    from featbench.finetune import SELECT, Schedule
    from featbench.heads import HEADS, create_head
    from featbench.networks import NETWORKS
    from featbench.training import OPTIMIZERS, SCHEDULES

    return {
        "networks": sorted(NETWORKS),
        "heads": {name: sorted(create_head(name).get_params(deep=False)) for name in HEADS},
        "training": sorted(field.name for field in fields(Schedule)),
        "values": {
            "optimizer": list(OPTIMIZERS),
            "schedule": list(SCHEDULES),
            "select": list(SELECT),
            "pool": list(POOLINGS),
            "precision": list(PRECISIONS),
        },
    }
