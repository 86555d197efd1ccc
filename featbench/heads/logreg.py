"""Multinomial logistic regression."""

from typing import Any, ClassVar

from featbench.heads._base import Head, register_head
from featbench.heads._softmax import SoftmaxRegression


@register_head("logreg")
class LogisticHead(Head):
    """Multinomial logistic regression with an L2 penalty, by Newton's method.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty, as in scikit-learn.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn.
    max_iter : int
        At most so many Newton steps.
    tol : float
        The solver stops within about tol² of the lowest objective, relative.
    device : str
        Where it is solved: ``cpu``, ``cuda`` or ``auto``.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    space: ClassVar[dict[str, tuple[Any, ...]]] = {
        "C": (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
    }

    def __init__(
        self,
        C: float = 0.01,
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        device: str = "cpu",
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.device = device
        self.calibrate = calibrate

    def _core(self) -> SoftmaxRegression:
        return SoftmaxRegression(**self._core_settings())

    def _is_linear(self) -> bool:
        return True

    @property
    def n_iter_(self) -> Any:
        """Newton steps taken, shape (1,)."""
        return self.core_.n_iter_
