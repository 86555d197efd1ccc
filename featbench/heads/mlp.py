"""A multilayer perceptron on feature rows; without hidden layers it is softmax regression."""

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn
from torch.nn import functional

from featbench.heads._arrays import check_array, check_names
from featbench.heads._base import Head, register_head
from featbench.machine import flush_denormals, keep_memory


@register_head("mlp")
class MLPHead(Head):
    """Fully connected ReLU layers and a softmax, trained with Adam on mini-batches in memory.

    Parameters
    ----------
    hidden : sequence of int
        Widths of the hidden layers; none makes it softmax regression.
    epochs : int
        Passes over the training rows.
    batch_size : int
        Rows a step.
    lr : float
        Adam's learning rate.
    weight_decay : float
        L2 penalty, decoupled (AdamW, Loshchilov and Hutter 2019).
    dropout : float
        Share of hidden activations dropped in training.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    random_state : int
        Seeds the weights and the order of the rows.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (256,),
        epochs: int = 30,
        batch_size: int = 64,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        dropout: float = 0.2,
        preprocess: str = "standardise",
        random_state: int | None = 0,
        calibrate: str | None = None,
    ) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.preprocess = preprocess
        self.random_state = random_state
        self.calibrate = calibrate

    def _core(self) -> "TorchMLP":
        return TorchMLP(**self._core_settings())

    def _is_linear(self) -> bool:
        return not len(self.hidden)


class TorchMLP(ClassifierMixin, BaseEstimator):
    """The classifier of ``MLPHead``, on preprocessed rows; its parameters are explained there."""

    def __init__(
        self, hidden: Sequence[int], epochs: int, batch_size: int, lr: float, weight_decay: float,
        dropout: float, random_state: Any,
    ) -> None:  # fmt: skip
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.random_state = random_state

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self:
        """Train on all rows for ``epochs`` passes; raises ValueError for impossible settings."""
        if self.epochs < 1 or self.batch_size < 1 or self.lr <= 0 or not 0 <= self.dropout < 1:
            raise ValueError(
                "epochs and batch_size need to be 1 or more, lr above 0, dropout in [0, 1)"
            )
        keep_memory()
        self.classes_, labels = np.unique(y, return_inverse=True)
        rows = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
        targets = torch.from_numpy(labels.astype(np.int64))
        seed = int(np.random.RandomState(self.random_state).randint(2**31))
        with torch.random.fork_rng(devices=[]), torch.enable_grad(), flush_denormals():
            torch.manual_seed(seed)
            self.module_ = self._layers(rows.shape[1], len(self.classes_))
            self._train(rows, targets)
        self.module_.eval()
        return self

    def _layers(self, width: int, classes: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for size in self.hidden:
            layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(self.dropout)]
            width = size
        return nn.Sequential(*layers, nn.Linear(width, classes))

    def _train(self, rows: torch.Tensor, targets: torch.Tensor) -> None:
        self.module_.train()
        optimizer = torch.optim.AdamW(
            self.module_.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        self.history_ = []
        for _ in range(self.epochs):
            total = 0.0
            for chosen in torch.randperm(len(rows)).split(self.batch_size):
                loss = functional.cross_entropy(self.module_(rows[chosen]), targets[chosen])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(chosen)
            self.history_.append(total / len(rows))

    def decision_function(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return logits (n, n_classes); for two classes their difference (n,)."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Return the softmax of the logits, (n, n_classes)."""
        logits = self._logits(X)
        chances = np.exp(logits - logits.max(axis=1, keepdims=True))
        normed: NDArray[np.float64] = chances / chances.sum(axis=1, keepdims=True)
        return normed

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the label with the highest logit, (n,)."""
        labels: NDArray[Any] = self.classes_[self._logits(X).argmax(axis=1)]
        return labels

    def _logits(self, X: NDArray[Any]) -> NDArray[np.float64]:
        with torch.inference_mode():  # in double precision a row hangs on no neighbour
            rows = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float64))
            logits: NDArray[np.float64] = copy.deepcopy(self.module_).double()(rows).numpy()
            return logits

    def get_arrays(self) -> dict[str, NDArray[Any]]:
        """Return each layer's weight (out, in) and bias (out,), float32, from the rows on."""
        return {
            f"{kind}_{i}": getattr(layer, kind).detach().cpu().numpy()
            for i, layer in enumerate(self._linear_layers())
            for kind in ("weight", "bias")
        }

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> Self:
        """Take what ``get_arrays`` gave; ``classes_`` is there already.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            ``weight_0``, ``bias_0``, ``weight_1``, …; a layer of each width in ``hidden``, and one
            for the classes.
        n_features : int
            Columns of the rows.

        Raises
        ------
        ValueError
            When a name, dtype or shape is not as it must be.
        """
        widths = [n_features, *self.hidden, len(self.classes_)]
        names = [f"{kind}_{i}" for i in range(len(widths) - 1) for kind in ("weight", "bias")]
        check_names(arrays, names)
        shapes = [s for a, b in itertools.pairwise(widths) for s in ((b, a), (b,))]
        found = [  # before a layer is made: a shape is no larger than the file
            check_array(arrays, name, shape, (np.float32,))
            for name, shape in zip(names, shapes, strict=True)
        ]
        with torch.random.fork_rng(devices=[]):
            self.module_ = self._layers(n_features, len(self.classes_)).eval()
        with torch.no_grad():
            for parameter, array in zip(self.module_.parameters(), found, strict=True):
                parameter.copy_(torch.from_numpy(array.copy()))
        return self

    def _linear_layers(self) -> list[nn.Linear]:
        return [layer for layer in self.module_ if isinstance(layer, nn.Linear)]

    def parameter_count(self) -> int:
        """Return the number of weights and biases."""
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
