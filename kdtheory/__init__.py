"""Closed forms for knowledge distillation and kernel regression: one spectrum, and every model a filter on it."""

from kdtheory._tail_sums import LabelWeightWarning
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
    flow_trajectories,
)
from kdtheory.label_weights import greedy_label_weights, joint_label_weights
from kdtheory.matching import exaggeration_ratios, matched_student_time
from kdtheory.oracle import WienerFilter, oracle_label_weights, wiener_filter
from kdtheory.outlook import DistillationOutlook, can_distillation_help, distillation_outlook
from kdtheory.risk import (
    DegreesOfFreedom,
    Risk,
    degrees_of_freedom,
    estimate_noise_variance,
    in_sample_risk,
    out_of_sample_risk,
    sure,
)
from kdtheory.selfdistill import SelfDistillationGrid, SelfDistillationPath, selfdistill_closed_form, selfdistill_grid
from kdtheory.spectral_fit import SpectralFit, fit_filter
from kdtheory.spectrum import Spectrum

__version__ = "0.1.0"

__all__ = [
    "ConstrainedPath",
    "DegreesOfFreedom",
    "DistillationOutlook",
    "DistillationTrajectories",
    "Distilled",
    "Filter",
    "GradientDescent",
    "GradientFlow",
    "LabelWeightWarning",
    "Modes",
    "Ridge",
    "Risk",
    "SelfDistillation",
    "SelfDistillationGrid",
    "SelfDistillationLimit",
    "SelfDistillationPath",
    "SpectralFit",
    "Spectrum",
    "Trajectory",
    "UnreachableCombinationError",
    "WienerFilter",
    "can_distillation_help",
    "combination_from_label_weights",
    "degrees_of_freedom",
    "descent_trajectories",
    "distillation_outlook",
    "estimate_noise_variance",
    "exaggeration_ratios",
    "fit_filter",
    "flow_trajectories",
    "greedy_label_weights",
    "in_sample_risk",
    "joint_label_weights",
    "label_weights_from_combination",
    "matched_student_time",
    "oracle_label_weights",
    "out_of_sample_risk",
    "selfdistill_closed_form",
    "selfdistill_constrained",
    "selfdistill_grid",
    "sure",
    "wiener_filter",
]
