"""Saved heads to forge: checksums are made right again, so that they stop no forgery."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from featbench.untrusted import sealed

Attack = Callable[[Path, Path], Any]
"""Takes the folder of a genuine head and the canary, and forges the first to touch the second."""

ATTACKS: dict[str, tuple[str, Attack, str]] = {}
"""What it is, to (head, attack, reason)."""


def attack(head: str, reason: str) -> Callable[[Attack], Attack]:
    def file(work: Attack) -> Attack:
        ATTACKS[f"{work.__name__} ({head})"] = head, work, reason
        return work

    return file


def attacks(head: str, **cases: tuple[Attack, str]) -> None:
    for name, (work, reason) in cases.items():
        ATTACKS[f"{name} ({head})"] = head, work, reason


class Payload:
    """Pickled, it makes whoever reads the pickle touch the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def put(folder: Path, file: str, content: bytes) -> None:
    """Write a file, and make ``head.json`` describe it."""
    (folder / file).write_bytes(content)
    described = json.loads((folder / "head.json").read_bytes())
    del described["sha256"]
    note = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    described["files"][file] = note
    (folder / "head.json").write_bytes(sealed(described))


def describe(folder: Path, file: str = "head.json", **changes: Any) -> None:
    """Change what a description says; a key as ``a__b`` is ``b`` inside ``a``."""
    described = json.loads((folder / file).read_bytes())
    del described["sha256"]
    for key, value in changes.items():
        *outer, last = key.split("__")
        inner = described
        for name in outer:
            inner = inner[name]
        inner[last] = value
    (folder / file).write_bytes(sealed(described))


def put_arrays(folder: Path, **changes: NDArray[Any] | None) -> None:
    """Change arrays (``core_gamma`` is ``core.gamma``); None takes one away."""
    arrays = load((folder / "head.safetensors").read_bytes())
    for key, array in changes.items():
        name = key.replace("_", ".", 1)
        arrays.pop(name, None)
        if array is not None:
            arrays[name] = np.asarray(array, order="C")
    put(folder, "head.safetensors", save(arrays))


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """Return a safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def rezip(
    folder: Path,
    change: Callable[[dict[str, bytes]], Any] = lambda members: None,
    *,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Take ``head.skops`` apart, change its members, and put it together."""
    with zipfile.ZipFile(folder / "head.skops") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    put(folder, "head.skops", buffer.getvalue())


def change_schema(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the schema of ``head.skops``."""

    def work(members: dict[str, bytes]) -> None:
        schema = json.loads(members["schema.json"])
        change(schema)
        members["schema.json"] = json.dumps(schema).encode()

    rezip(folder, work)


def add_attribute(folder: Path, node: dict[str, Any], name: str = "copy_X") -> None:
    """Give the classifier in ``head.skops`` an attribute made by this node."""

    def change(schema: dict[str, Any]) -> None:
        attributes = schema["content"]
        if name not in attributes["content"]:  # as many types as keys, as skops writes them
            attributes["key_types"]["content"].append(attributes["key_types"]["content"][0])
        attributes["content"][name] = node

    change_schema(folder, change)


def node(loader: str, module: str, name: str, **more: Any) -> dict[str, Any]:
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


def text(value: str) -> dict[str, Any]:
    return node("JsonNode", "builtins", "str", content=json.dumps(value), is_json=True)


def texts(*values: str) -> dict[str, Any]:
    return node("TupleNode", "builtins", "tuple", content=[text(v) for v in values])


NOTHING = node("DictNode", "builtins", "dict", content={},
               key_types=node("ListNode", "builtins", "list", content=[]))  # fmt: skip
