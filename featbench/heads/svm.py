"""Support vector machines with four kernels, one-vs-one, as in LIBSVM (Chang and Lin 2011)."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from featbench.errors import UsageError
from featbench.heads._base import Head, register_head
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._nystroem import NystroemSVC
from featbench.heads._one_vs_one import gram_bytes, group_classes, readable
from featbench.heads._one_vs_rest import OneVsRestSVC, check_memory
from featbench.machine import memory_limit

_C: tuple[Any, ...] = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
_LITTLE = 1 << 30  # bytes
_STRATEGIES = ("one-vs-one", "one-vs-rest")
_GAMMA: tuple[Any, ...] = ("scale", 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)


class _KernelHead(Head):
    """An SVM with one kernel; ``gamma='scale'`` is 1 / (d · variance of the features)."""

    _kernel: str
    approximate: bool

    def _machine(self) -> KernelSVC:
        own = self._core_settings()
        settings = {k: v for k, v in own.items() if k not in ("approximate", "strategy")}
        return KernelSVC(kernel=self._kernel, **settings)

    def _core(self) -> KernelSVC | OneVsRestSVC:
        return self._machine()

    def _core_for(self, y: NDArray[Any]) -> KernelSVC | OneVsRestSVC | NystroemSVC:
        """Return the exact machine, or what stands in for it where memory is too small."""
        if not self.approximate:
            return self._core()
        try:
            self._check_memory(y)
        except UsageError:
            return NystroemSVC(self._machine())
        return self._core()

    def _cores(self) -> tuple[KernelSVC | OneVsRestSVC, NystroemSVC]:
        return self._core(), NystroemSVC(self._machine())

    def _check_memory(self, y: NDArray[Any]) -> list[list[int]]:
        """Return the classes in groups of which any two fit in memory; raises UsageError."""
        return group_classes(np.unique(y, return_counts=True)[1], memory_limit())

    @property
    def n_iter_(self) -> Any:
        """The solver's steps, a number a pair of classes."""
        return self.core_.n_iter_

    def warm_up(self) -> None:
        """Fit six rows and ask for their classes: the solver is compiled, or read from disk."""
        plain = {"preprocess": "none", "calibrate": None, "class_weight": None}
        X = np.eye(6, dtype=np.float32)
        clone(self).set_params(**plain).fit(X, np.arange(6) % 3).predict(X)

    def memory_needed(self, y: NDArray[Any]) -> str:
        """Return one line: the Gram matrix's size, and whether it is made in blocks.

        Nothing is said of one GiB or less that is there.

        Raises
        ------
        UsageError
            When it is too big even so, and an approximation is not asked for.
        """
        limit, whole = memory_limit(), gram_bytes(len(y))
        sizes = f"{len(y):,} × {len(y):,}, {readable(whole)}"
        allowed = f"{readable(limit)} may be used"
        if whole <= min(limit, _LITTLE):
            return ""
        if whole <= limit:
            return f"Gram matrix {sizes} ({allowed})"
        try:
            groups = self._check_memory(y)
        except UsageError:
            if not self.approximate:
                raise
            return f"Gram matrix {sizes}, but {allowed}: an approximation is fitted"
        blocks = len(groups) * (len(groups) - 1) // 2
        return f"Gram matrix {sizes}, but {allowed}: made in {blocks} blocks of classes"


@register_head("svm-linear")
class LinearSVMHead(_KernelHead):
    """Linear SVM: k(x, z) = x·z.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    strategy : str
        ``one-vs-one``, a machine a pair of classes, whose votes count; or ``one-vs-rest``, one
        a class, whose scores are one linear layer, so that fine-tuning can start from it.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn; in every machine a row has the weight of its class.
    max_iter : int
        Steps at most for a machine; one that needs more is reported as not converged.
    approximate : bool
        Where the Gram matrix does not fit in memory (with one-vs-one not even that of two classes),
        fit Nyström's features and a linear SVM, and say so; without it that is an error.
    device : str
        Where Gram matrices are made and votes counted: ``cpu``, ``cuda`` or ``auto``.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    _kernel = "linear"
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "C": (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 1.0)
    }

    def __init__(
        self,
        C: float = 0.01,
        strategy: str = "one-vs-one",
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1_000_000,
        approximate: bool = False,
        device: str = "cpu",
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.strategy = strategy
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.approximate = approximate
        self.device = device
        self.calibrate = calibrate

    def _is_one_layer(self) -> bool:
        if self.strategy not in _STRATEGIES:
            raise ValueError(f"strategy={self.strategy!r}: expected {', '.join(_STRATEGIES)}")
        return self.strategy == "one-vs-rest"

    def _core(self) -> KernelSVC | OneVsRestSVC:
        machine = self._machine()
        return OneVsRestSVC(machine) if self._is_one_layer() else machine

    def _check_memory(self, y: NDArray[Any]) -> list[list[int]]:
        if not self._is_one_layer():
            return super()._check_memory(y)
        check_memory(len(y))
        return [list(range(len(np.unique(y))))]

    def _is_linear(self) -> bool:
        if not hasattr(self, "core_"):
            return self._is_one_layer()
        return hasattr(self.core_, "coef_") and not isinstance(self.core_, NystroemSVC)


@register_head("svm-poly")
class PolynomialSVMHead(_KernelHead):
    """Polynomial SVM: k(x, z) = (gamma x·z + coef0) ** degree.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    degree : int
        The polynomial's degree.
    gamma : float or 'scale' or 'auto'
        The kernel's scale.
    coef0 : float
        The kernel's constant; with standardised features 0 loses half the accuracy.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn.
    max_iter : int
        Steps at most for a pair of classes; one that needs more is reported as not converged.
    approximate : bool
        Where not even the Gram matrix of two classes fits in memory, fit Nyström's features and a
        linear SVM, and say so; without it that is an error.
    device : str
        Where Gram matrices are made and votes counted: ``cpu``, ``cuda`` or ``auto``.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    _kernel = "poly"
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "C": _C,
        "degree": (2, 3),
        "coef0": (0.0, 1.0, 3.0),
    }

    def __init__(
        self,
        C: float = 1.0,
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 1.0,
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1_000_000,
        approximate: bool = False,
        device: str = "cpu",
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.approximate = approximate
        self.device = device
        self.calibrate = calibrate


@register_head("svm-rbf")
class RBFSVMHead(_KernelHead):
    """Gaussian SVM: k(x, z) = exp(-gamma |x - z|²).

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    gamma : float or 'scale' or 'auto'
        The kernel's scale.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn.
    max_iter : int
        Steps at most for a pair of classes; one that needs more is reported as not converged.
    approximate : bool
        Where not even the Gram matrix of two classes fits in memory, fit Nyström's features and a
        linear SVM, and say so; without it that is an error.
    device : str
        Where Gram matrices are made and votes counted: ``cpu``, ``cuda`` or ``auto``.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    _kernel = "rbf"
    space: ClassVar[dict[str, tuple[Any, ...]]] = {"C": _C, "gamma": _GAMMA}

    def __init__(
        self,
        C: float = 10.0,
        gamma: float | str = "scale",
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1_000_000,
        approximate: bool = False,
        device: str = "cpu",
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.approximate = approximate
        self.device = device
        self.calibrate = calibrate


@register_head("svm-sigmoid")
class SigmoidSVMHead(_KernelHead):
    """Sigmoid SVM: k(x, z) = tanh(gamma x·z + coef0).

    Parameters
    ----------
    C : float
        Inverse strength of the penalty.
    gamma : float or 'scale' or 'auto'
        The kernel's scale.
    coef0 : float
        The kernel's constant.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn.
    max_iter : int
        Steps at most for a pair of classes; one that needs more is reported as not converged.
    approximate : bool
        Where not even the Gram matrix of two classes fits in memory, fit Nyström's features and a
        linear SVM, and say so; without it that is an error.
    device : str
        Where Gram matrices are made and votes counted: ``cpu``, ``cuda`` or ``auto``.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    _kernel = "sigmoid"
    space: ClassVar[dict[str, tuple[Any, ...]]] = {"C": _C, "gamma": _GAMMA}

    def __init__(
        self,
        C: float = 1.0,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1_000_000,
        approximate: bool = False,
        device: str = "cpu",
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.gamma = gamma
        self.coef0 = coef0
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.approximate = approximate
        self.device = device
        self.calibrate = calibrate
