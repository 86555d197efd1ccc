"""TensorBoard: each epoch of a training as scalars in a folder that its pages read."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from featbench.errors import UsageError

EPOCH_TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/val",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/val",
    "lr": "lr",
    "seconds": "seconds",
}
"""What a column of the history is called on boards."""


class TensorBoard:
    """Writes what trainings tell, each into a folder named as its run.

    Parameters
    ----------
    folder : path
        What ``tensorboard --logdir`` is given.

    Raises
    ------
    UsageError
        When the package is not installed, or the folder cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                f"--tensorboard {folder}: needs the package tensorboard ({error}); "
                "pip install 'featbench[tensorboard]'"
            ) from error
        self._writer: Callable[..., Any] = SummaryWriter
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--tensorboard {folder}: cannot be made ({error.strerror})"
            ) from error

    @contextmanager
    def watching(self, run: str, about: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """Give what writes down an epoch's row of the history; the file is closed at the end.

        Parameters
        ----------
        run : str
            The run's id.
        about : str
            One line on it.
        """
        writer: Any = None

        def told(row: Mapping[str, Any]) -> None:
            nonlocal writer
            epoch = row["epoch"]
            if writer is None:  # an earlier training of this run ends where this one begins
                writer = self._writer(str(self._folder / run), purge_step=epoch)
                writer.add_text("run", about, epoch)
            for name, tag in EPOCH_TAGS.items():
                if name in row:
                    writer.add_scalar(tag, row[name], epoch)
            writer.flush()

        try:
            yield told
        finally:
            if writer is not None:
                writer.close()
