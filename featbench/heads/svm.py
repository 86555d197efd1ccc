"""Support vector machines with four kernels, one-vs-one, as in LIBSVM (Chang and Lin 2011)."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featbench.errors import UsageError
from featbench.heads._base import Head, register_head
from featbench.heads._kernel_svc import KernelSVC
from featbench.heads._nystroem import NystroemSVC
from featbench.heads._one_vs_one import gram_bytes, group_classes, readable
from featbench.machine import memory_limit

_C: tuple[Any, ...] = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
_GAMMA: tuple[Any, ...] = ("scale", 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)


class _KernelHead(Head):
    """An SVM with one kernel; ``gamma='scale'`` is 1 / (d · variance of the features)."""

    _kernel: str
    approximate: bool

    def _core(self) -> KernelSVC:
        settings = {k: v for k, v in self._core_settings().items() if k != "approximate"}
        return KernelSVC(kernel=self._kernel, **settings)

    def _core_for(self, y: NDArray[Any]) -> KernelSVC | NystroemSVC:
        """Return the exact machine, or what stands in for it where memory is too small."""
        if not self.approximate:
            return self._core()
        try:
            group_classes(np.unique(y, return_counts=True)[1], memory_limit())
        except UsageError:
            return NystroemSVC(self._core())
        return self._core()

    def _cores(self) -> tuple[KernelSVC, NystroemSVC]:
        return self._core(), NystroemSVC(self._core())

    @property
    def n_iter_(self) -> Any:
        """The solver's steps, a number a pair of classes."""
        return self.core_.n_iter_

    def memory_needed(self, y: NDArray[Any]) -> str:
        """Return one line: the Gram matrix's size, and whether it is made in blocks.

        Raises
        ------
        UsageError
            When it is too big even so, and an approximation is not asked for.
        """
        limit, whole = memory_limit(), gram_bytes(len(y))
        sizes = f"{len(y):,} × {len(y):,}, {readable(whole)}"
        allowed = f"{readable(limit)} may be used"
        if whole <= limit:
            return f"Gram matrix {sizes} ({allowed})"
        try:
            groups = group_classes(np.unique(y, return_counts=True)[1], limit)
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

    _kernel = "linear"
    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "C": (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 1.0)
    }

    def __init__(
        self,
        C: float = 0.01,
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1_000_000,
        approximate: bool = False,
        device: str = "cpu",
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.approximate = approximate
        self.device = device
        self.calibrate = calibrate


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
