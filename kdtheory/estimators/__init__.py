"""scikit-learn estimators: self-distilled kernel ridge, its choice by exact leave-one-out, and gradient flow.

Needs scikit-learn, skops and tqdm: `pip install "kdtheory[estimators]"`.
"""

import importlib.util

if importlib.util.find_spec("sklearn") is None:
    raise ModuleNotFoundError('kdtheory.estimators needs scikit-learn: pip install "kdtheory[estimators]"')

from kdtheory.estimators.classification import SelfDistilledKernelClassifier, SelfDistilledKernelClassifierCV
from kdtheory.estimators.flow import GradientFlowRegressor
from kdtheory.estimators.persistence import load, save
from kdtheory.estimators.regression import SelfDistilledKernelRidge, SelfDistilledKernelRidgeCV
from kdtheory.estimators.soft_labels import DistilledClassifier, SoftLabelClassifier
from kdtheory.estimators.solvers import Eigh, Lanczos, Nystrom

__all__ = [
    "DistilledClassifier",
    "Eigh",
    "GradientFlowRegressor",
    "Lanczos",
    "Nystrom",
    "SelfDistilledKernelClassifier",
    "SelfDistilledKernelClassifierCV",
    "SelfDistilledKernelRidge",
    "SelfDistilledKernelRidgeCV",
    "SoftLabelClassifier",
    "load",
    "save",
]
