"""What a run's model says of itself when it has been read, whatever answers in it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featbench.experiments._model_file import ModelFile


@dataclass(frozen=True)
class ReadModel(ABC):
    """A model as it was read: nothing of its file has been run.

    Parameters
    ----------
    folder : Path
        Where it lies.
    described : object
        What ``model.json`` says.
    """

    folder: Path
    described: ModelFile

    @property
    def classes(self) -> list[str]:
        """The class names."""
        return self.described.classes

    @property
    def title(self) -> str:
        """The run and its method, for people."""
        return f"{self.described.run[:6]} {self.method}"

    @property
    @abstractmethod
    def method(self) -> str:
        """The head's registered name, or ``fine-tune``."""

    @property
    def head_name(self) -> str | None:
        """The head's registered name; None for a trained network."""
        return None

    @property
    @abstractmethod
    def origin(self) -> tuple[str | None, str | None]:
        """The network's name and weights; None where it answers for rows of a file."""

    def summary(self) -> dict[str, Any]:
        """Return what the model is, as plain data."""
        network, weights = self.origin
        return {
            "run": self.described.run,
            "head": self.head_name,
            "method": self.method,
            "network": network,
            "weights": weights,
            "dataset": self.described.dataset,
            "classes": self.classes,
        }
