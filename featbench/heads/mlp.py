"""A multilayer perceptron on feature rows; without hidden layers it is softmax regression."""

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from torch import nn

from featbench.heads._arrays import OWNED, check_arrays
from featbench.heads._base import Head, register_head
from featbench.heads._calibration import softmax
from featbench.heads._class_weight import class_weights
from featbench.heads._device import find_device
from featbench.heads._mlp_training import Data, Training, hold_out, train
from featbench.heads._trials import Fold, Trial, attempt
from featbench.machine import flush_denormals, keep_memory
from featbench.training import is_count, is_number

Labelled = tuple[NDArray[Any], NDArray[Any]]


@register_head("mlp")
class MLPHead(Head):
    """Fully connected ReLU layers and a softmax, trained on mini-batches from memory.

    Parameters
    ----------
    hidden : sequence of int
        Widths of the hidden layers; none makes it softmax regression.
    epochs : int
        Passes over the training rows.
    batch_size : int
        Rows a step.
    lr : float
        Learning rate.
    weight_decay : float
        L2 penalty: decoupled with ``adamw`` (Loshchilov and Hutter 2019), else in the gradient.
    dropout : float
        Share of hidden activations dropped in training.
    batch_norm : bool
        Whether each hidden layer is normalised over the batch, before its ReLU.
    optimizer : str
        ``adamw``, ``adam`` or ``sgd``.
    momentum : float
        SGD's momentum.
    schedule : str
        The learning rate's: ``constant``; ``cosine``, to 0, step by step; ``step``, multiplied by
        ``step_factor`` every ``step_epochs`` epochs.
    warmup_epochs : float
        Over so many epochs the learning rate rises linearly to ``lr`` first.
    step_epochs, step_factor : int, float
        For ``schedule='step'``.
    label_smoothing : float
        Share of each target that is spread over all classes, in training.
    select : str
        ``last`` keeps the last epoch's weights, ``val_loss`` those of the epoch with the lowest
        validation loss (the first of equals).
    patience : int, optional
        Stop after so many epochs without a lower validation loss.
    stop_after : int, optional
        Train so many epochs only; the learning rate's course stays that of all ``epochs``. Tuning
        sets it: what is fitted again then has the rates that its trial had.
    validation_fraction : float
        Share of the rows of each class that is held out, seeded, where ``select`` or ``patience``
        needs validation rows and ``fit`` was given none; these then train nothing but
        ``preprocess``.
    device : str
        ``cpu`` (the default, so that a table does not hang on the machine), ``cuda``, ``cuda:N``,
        or ``auto``: CUDA where there is one.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn: multiplies a row's loss, in validation too.
    random_state : int
        Seeds the weights, the order of the rows, dropout and what is held out.
    calibrate : str, optional
        How scores become probabilities.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "hidden": ((), (256,), (1024,), (512, 256)),
        "lr": (3e-4, 1e-3, 3e-3),
        "weight_decay": (1e-4, 1e-2, 1e-1),
        "dropout": (0.0, 0.2, 0.5),
        "epochs": (15, 30, 60),
        "schedule": ("constant", "cosine"),
        "label_smoothing": (0.0, 0.1),
        "batch_norm": (False, True),
    }
    grid: ClassVar[dict[str, tuple[Any, ...]]] = {
        "hidden": ((), (256,), (1024,)),
        "lr": (3e-4, 1e-3, 3e-3),
        "weight_decay": (1e-2, 1e-1),
        "dropout": (0.2, 0.5),
    }

    def __init__(
        self,
        hidden: Sequence[int] = (256,),
        epochs: int = 30,
        batch_size: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        dropout: float = 0.2,
        batch_norm: bool = False,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        schedule: str = "constant",
        warmup_epochs: float = 0,
        step_epochs: int = 10,
        step_factor: float = 0.1,
        label_smoothing: float = 0.0,
        select: str = "last",
        patience: int | None = None,
        stop_after: int | None = None,
        validation_fraction: float = 0.2,
        device: str = "cpu",
        preprocess: str = "standardise",
        class_weight: Any = None,
        random_state: int | None = 0,
        calibrate: str | None = None,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.optimizer = optimizer
        self.momentum = momentum
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.step_epochs = step_epochs
        self.step_factor = step_factor
        self.label_smoothing = label_smoothing
        self.select = select
        self.patience = patience
        self.stop_after = stop_after
        self.validation_fraction = validation_fraction
        self.device = device
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.random_state = random_state
        self.calibrate = calibrate

    def idle_settings(self) -> set[str]:
        """Return the settings that change nothing, such as dropout without hidden layers."""
        idle = set() if len(self.hidden) else {"dropout", "batch_norm"}
        if self.optimizer != "sgd":
            idle.add("momentum")
        if self.schedule != "step":
            idle |= {"step_epochs", "step_factor"}
        return idle

    def _core(self) -> "TorchMLP":
        return TorchMLP(**self._core_settings())

    def _quick_copy(self) -> Self:
        self._core().check()
        narrow = tuple(1 for _ in self.hidden)[:2]
        copied = super()._quick_copy()
        copied.set_params(hidden=narrow, epochs=1, warmup_epochs=0, stop_after=None)
        return copied

    def _is_linear(self) -> bool:
        return not len(self.hidden)


class TorchMLP(ClassifierMixin, BaseEstimator):
    """The classifier of ``MLPHead``, on preprocessed rows; its parameters are explained there.

    Attributes
    ----------
    module_ : Sequential
        The network, on the CPU, in eval mode.
    history_ : list of dict
        A row an epoch: epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr, seconds.
    best_epoch_ : int
        The epoch whose weights are kept, from 1.
    """

    def __init__(
        self, hidden: Sequence[int], epochs: int, batch_size: int, lr: float, weight_decay: float,
        dropout: float, batch_norm: bool, optimizer: str, momentum: float, schedule: str,
        warmup_epochs: float, step_epochs: int, step_factor: float, label_smoothing: float,
        select: str, patience: int | None, stop_after: int | None, validation_fraction: float,
        device: str, class_weight: Any, random_state: Any,
    ) -> None:  # fmt: skip
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.optimizer = optimizer
        self.momentum = momentum
        self.schedule = schedule
        self.warmup_epochs = warmup_epochs
        self.step_epochs = step_epochs
        self.step_factor = step_factor
        self.label_smoothing = label_smoothing
        self.select = select
        self.patience = patience
        self.stop_after = stop_after
        self.validation_fraction = validation_fraction
        self.device = device
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        validation: Labelled | None = None,
        groups: NDArray[Any] | None = None,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X, y : ndarray, shape (n, d) and (n,)
            Rows and labels.
        validation : (X, y), optional
            Rows that ``select`` and ``patience`` look at, and the history shows.
        groups : ndarray, shape (n,), optional
            Rows of one group are held out together, where rows are held out.

        Raises
        ------
        ValueError
            For impossible settings, or validation labels that are not in y.
        FeatbenchError
            When training diverges.
        """
        how = self.check()
        device = find_device(self.device)
        keep_memory()
        self.classes_, targets = np.unique(y, return_inverse=True)
        weights = class_weights(self.class_weight, self.classes_, y)
        rng = np.random.RandomState(self.random_state)
        seed = int(rng.randint(2**31))
        held: Labelled | None = None
        if validation is not None:
            held = validation[0], self._places(validation[1])
        elif how.needs_validation:
            kept, out = hold_out(targets, how.validation_fraction, rng, groups)
            held = X[out], targets[out]
            X, targets = X[kept], targets[kept]
        forked = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=forked), torch.enable_grad(), flush_denormals():
            torch.manual_seed(seed)
            self.module_ = self._layers(X.shape[1], len(self.classes_)).to(device)
            self.history_, self.best_epoch_ = train(
                self.module_,
                _tensors(X, targets, device),
                None if held is None else _tensors(*held, device),
                None if self.class_weight is None else torch.tensor(weights).float().to(device),
                how,
            )
        self.module_.cpu().eval()
        return self

    @staticmethod
    def try_all(
        cores: Sequence["TorchMLP"], rows: NDArray[Any], y: NDArray[Any], folds: Sequence[Fold]
    ) -> Iterator[tuple[int, int, Trial]]:
        """Yield (core, fold, trial): the rows to score on choose each one's number of epochs.

        The arguments are those of ``one_by_one``.
        """
        for number, (kept, held) in enumerate(folds):
            known = held[np.isin(y[held], y[kept])]  # a loss needs a label that was seen
            for which, core in enumerate(cores):
                fitted = clone(core).set_params(select="val_loss" if len(known) else core.select)
                chosen_by = (rows[known], y[known]) if len(known) else None
                trial = attempt(
                    functools.partial(fitted.fit, rows[kept], y[kept], chosen_by),
                    functools.partial(fitted.predict, rows[held]),
                    y[held],
                )
                yield which, number, replace(trial, epochs=getattr(fitted, "best_epoch_", None))

    def check(self) -> Training:
        """Return how to train; raises ValueError for a setting that cannot be."""
        hidden = self.hidden
        if not isinstance(hidden, Sequence | np.ndarray) or not all(map(is_count, hidden)):
            raise ValueError(f"hidden={hidden!r}: expected a list of whole numbers from 1 up")
        if not is_number(self.dropout, lambda share: 0 <= share < 1):
            raise ValueError(f"dropout={self.dropout!r}: expected a number in [0, 1)")
        if not isinstance(self.batch_norm, bool | np.bool_):
            raise ValueError(f"batch_norm={self.batch_norm!r}: expected true or false")
        if self.batch_norm and len(hidden) and self.batch_size == 1:
            raise ValueError("batch_norm needs a batch_size of 2 or more")
        return Training(**{field.name: getattr(self, field.name) for field in fields(Training)})

    def _places(self, y: NDArray[Any]) -> NDArray[np.intp]:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"validation rows have labels that training rows lack: {unknown[:5].tolist()}; "
                "leave those rows out"
            )
        return np.searchsorted(self.classes_, y)

    def _layers(self, width: int, classes: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for size in map(int, self.hidden):
            norm = [nn.BatchNorm1d(size)] if self.batch_norm else []
            layers += [nn.Linear(width, size), *norm, nn.ReLU(), nn.Dropout(self.dropout)]
            width = size
        return nn.Sequential(*layers, nn.Linear(width, classes))

    def decision_function(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return logits (n, n_classes); for two classes their difference (n,)."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the softmax of the logits, (n, n_classes)."""
        return softmax(self._logits(X))

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the label with the highest logit, (n,)."""
        labels: NDArray[Any] = self.classes_[self._logits(X).argmax(axis=1)]
        return labels

    def _logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        with torch.inference_mode():  # in double precision a row hangs on no neighbour
            rows = torch.from_numpy(np.require(X, np.float64, OWNED))
            logits: NDArray[np.float64] = copy.deepcopy(self.module_).double()(rows).numpy()
            return logits

    def parameter_count(self) -> int:
        """Return the number of weights and biases, batch norm's among them."""
        return sum(p.numel() for p in self.module_.parameters())

    @property
    def coef_(self) -> NDArray[np.float64]:
        """The weights (n_classes, d) of softmax regression; not there with hidden layers."""
        return self._only_layer().weight.detach().double().numpy()

    @property
    def intercept_(self) -> NDArray[np.float64]:
        """The biases (n_classes,) of softmax regression; not there with hidden layers."""
        return self._only_layer().bias.detach().double().numpy()

    def _only_layer(self) -> nn.Linear:
        if len(self.hidden) or not hasattr(self, "module_"):
            raise AttributeError("no single linear layer")
        layer = self.module_[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the module's state, by name."""
        return {name: v.numpy().copy() for name, v in self.module_.state_dict().items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave, ``classes_`` being set; raises ValueError if it differs.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Saved arrays.
        n_features : int
            Width of the rows.
        """
        self.check()
        try:
            with torch.device("meta"):  # shapes alone: a file may declare layers of any width
                module = self._layers(n_features, len(self.classes_))
        except (RuntimeError, TypeError, OverflowError) as error:
            raise ValueError(f"hidden={self.hidden!r}: no such layers can be") from error
        state = module.state_dict()
        check_arrays(arrays, {
            name: ("f" if value.is_floating_point() else "i", tuple(value.shape))
            for name, value in state.items()
        })  # fmt: skip
        for name, array in arrays.items():
            if name.endswith("running_var") and array.min() < 0:
                raise ValueError(f"array {name} holds values below 0")
        weights = {name: torch.tensor(array) for name, array in arrays.items()}
        module.load_state_dict(weights, assign=True)
        self.module_ = module.eval()
        return self


def _tensors(X: NDArray[Any], targets: NDArray[Any], device: torch.device) -> Data:
    rows = torch.from_numpy(np.require(X, np.float32, OWNED)).to(device)
    return rows, torch.from_numpy(targets.astype(np.int64)).to(device)
