"""Names that are imported when they are first used, so that a light command loads no torch."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def exporter(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` (PEP 562).

    Parameters
    ----------
    package : str
        The package whose names they are.
    homes : mapping of str to str
        Each name's module, relative to the package.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get
