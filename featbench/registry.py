"""A registry is a dictionary and a decorator: adding an entry is one new file in its room."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from featbench.errors import UsageError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names to entries, filled by the modules of one package and by other packages' entry points.

    Parameters
    ----------
    kind : str
        What an entry is, for messages (``"head"``). Other packages add theirs under the entry-point
        group ``featbench.<kind>s``; the entry point's name is the entry's name.
    package : str
        The package whose modules register entries when imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files what it decorates under ``name``; a name is taken once."""

        def file(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return file

    def __getitem__(self, name: str) -> T:
        self._load()
        if name not in self._entries:
            names = sorted(self._entries)
            known = ", ".join(names) if len(names) < 20 else f"see featbench {self.kind}s"
            hint = did_you_mean(name, self._entries)
            raise UsageError(f"unknown {self.kind} {name!r}{hint} Known: {known}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._entries)

    def __len__(self) -> int:
        self._load()
        return len(self._entries)

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        for point in entry_points(group=f"featbench.{self.kind}s"):
            if point.name not in self._entries:
                entry = point.load()  # a decorator in its module may file another one: that counts
                self._entries.setdefault(point.name, entry)
