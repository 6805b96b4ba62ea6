"""Closed forms for knowledge distillation and kernel regression: one spectrum, and every model a filter on it."""

from kdtheory.combinations import (
    UnreachableCombinationError,
    combination_from_label_weights,
    label_weights_from_combination,
)
from kdtheory.constrained import ConstrainedPath, selfdistill_constrained
from kdtheory.filters import (
    Distilled,
    Filter,
    GradientDescent,
    GradientFlow,
    Modes,
    Ridge,
    SelfDistillation,
    SelfDistillationLimit,
)
from kdtheory.flow import (
    DistillationTrajectories,
    Trajectory,
    descent_trajectories,
    exaggeration_ratios,
    flow_trajectories,
    matched_student_time,
)
from kdtheory.label_weights import LabelWeightWarning, greedy_label_weights, joint_label_weights
from kdtheory.selfdistill import SelfDistillationGrid, SelfDistillationPath, selfdistill_closed_form, selfdistill_grid
from kdtheory.spectral_fit import SpectralFit, fit_filter
from kdtheory.spectrum import Spectrum

__version__ = "0.1.0"

__all__ = [
    "ConstrainedPath",
    "DistillationTrajectories",
    "Distilled",
    "Filter",
    "GradientDescent",
    "GradientFlow",
    "LabelWeightWarning",
    "Modes",
    "Ridge",
    "SelfDistillation",
    "SelfDistillationGrid",
    "SelfDistillationLimit",
    "SelfDistillationPath",
    "SpectralFit",
    "Spectrum",
    "Trajectory",
    "UnreachableCombinationError",
    "combination_from_label_weights",
    "descent_trajectories",
    "exaggeration_ratios",
    "fit_filter",
    "flow_trajectories",
    "greedy_label_weights",
    "joint_label_weights",
    "label_weights_from_combination",
    "matched_student_time",
    "selfdistill_closed_form",
    "selfdistill_constrained",
    "selfdistill_grid",
]
