"""Every model is a filter: a scalar function of the eigenvalues of the Gram matrix.

A filter `q` gives the dual coefficients `U q(d) Uᵀ y` of a model and its fitted values `U (d·q(d)) Uᵀ y`, for a Gram
matrix `K = U diag(d) Uᵀ`. Distilling a teacher into a student composes their two filters.
"""

from kdtheory.filters.base import Distilled, Filter, Modes, compose
from kdtheory.filters.ridge import Ridge, SelfDistillation, SelfDistillationLimit
from kdtheory.filters.training import GradientDescent, GradientFlow, Progress, descend, flow, resume

__all__ = [
    "Distilled",
    "Filter",
    "GradientDescent",
    "GradientFlow",
    "Modes",
    "Progress",
    "Ridge",
    "SelfDistillation",
    "SelfDistillationLimit",
    "compose",
    "descend",
    "flow",
    "resume",
]
