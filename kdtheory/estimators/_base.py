"""scikit-learn's base classes with types, which scikit-learn itself has none of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import numpy as np
    from sklearn.utils import Tags

    class BaseEstimator:
        """`sklearn.base.BaseEstimator` as type checkers see it, with the requests of metadata routing."""

        n_features_in_: int
        feature_names_in_: np.ndarray

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def get_metadata_routing(self) -> Any: ...
        def set_fit_request(self, **requests: bool | str | None) -> Self: ...
        def set_score_request(self, **requests: bool | str | None) -> Self: ...
        def __getstate__(self) -> dict[str, Any]: ...
        def __sklearn_tags__(self) -> Tags: ...

    class _Scored:
        def score(self, X: Any, y: Any, sample_weight: Any = None) -> float: ...
        def __sklearn_tags__(self) -> Tags: ...

    class ClassifierMixin(_Scored):
        """`sklearn.base.ClassifierMixin`, as type checkers see it."""

    class RegressorMixin(_Scored):
        """`sklearn.base.RegressorMixin`, as type checkers see it."""

    class MultiOutputMixin:
        """`sklearn.base.MultiOutputMixin`, as type checkers see it."""

    class MetaEstimatorMixin:
        """`sklearn.base.MetaEstimatorMixin`, as type checkers see it."""

else:
    from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, MultiOutputMixin, RegressorMixin

__all__ = ["BaseEstimator", "ClassifierMixin", "MetaEstimatorMixin", "MultiOutputMixin", "RegressorMixin"]
