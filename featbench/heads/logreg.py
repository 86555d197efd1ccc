"""Multinomial logistic regression."""

from typing import Any

from sklearn.linear_model import LogisticRegression

from featbench.heads._base import Head, register_head


@register_head("logreg")
class LogisticHead(Head):
    """Multinomial logistic regression with an L2 penalty, by L-BFGS.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty, as in scikit-learn.
    preprocess : str
        ``none``, ``standardise``, ``l2`` or ``whiten``.
    class_weight : dict or 'balanced', optional
        As in scikit-learn.
    max_iter : int
        At most so many iterations.
    tol : float
        Tolerance of the gradient.
    calibrate : str, optional
        ``temperature`` or ``platt``: probabilities from out-of-fold scores; five more fits.
    """

    def __init__(
        self,
        C: float = 0.01,
        preprocess: str = "standardise",
        class_weight: Any = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        calibrate: str | None = None,
    ) -> None:
        self.C = C
        self.preprocess = preprocess
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.calibrate = calibrate

    def _core(self) -> LogisticRegression:
        return LogisticRegression(**self._core_settings())

    def _is_linear(self) -> bool:
        return True

    @property
    def n_iter_(self) -> Any:
        """Iterations that L-BFGS took, as in scikit-learn."""
        return self.core_.n_iter_
