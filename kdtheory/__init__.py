"""Closed forms for knowledge distillation and kernel regression: one spectrum, and every model a filter on it."""

from kdtheory._label_weight_rules import (
    ConstantWeights,
    FreeWeights,
    LabelWeightRule,
    MonotoneWeights,
    UnitIntervalWeights,
)
from kdtheory._regularised_system import NotConvergedWarning
from kdtheory._tail_sums import LabelWeightWarning
from kdtheory.alternation import Alternation, alternate_distillation
from kdtheory.asymptotics import RandomDesign
from kdtheory.combinations import (
    UnreachableCombinationError,
    combination_from_label_weights,
    label_weights_from_combination,
)
from kdtheory.conjugate_gradient import DistillationChain, RidgeSolution, selfdistill_iteratively, solve_ridge
from kdtheory.constrained import ConstrainedPath, selfdistill_constrained
from kdtheory.double_distillation import (
    double_distillation_gradient,
    double_distillation_loss,
    double_distillation_loss_and_gradient,
    negative_weights_from_logits,
    negative_weights_from_probabilities,
)
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
from kdtheory.label_weights import estimate_label_weight, greedy_label_weights, joint_label_weights
from kdtheory.matching import exaggeration_ratios, matched_student_time
from kdtheory.oracle import WienerFilter, oracle_label_weights, wiener_filter
from kdtheory.outlook import BestFits, DistillationOutlook, StandardErrors, can_distillation_help, distillation_outlook
from kdtheory.per_sample import PerSamplePath, selfdistill_per_sample
from kdtheory.pivots import RankWarning
from kdtheory.risk import (
    DegreesOfFreedom,
    Risk,
    degrees_of_freedom,
    estimate_noise_variance,
    in_sample_risk,
    out_of_sample_risk,
    sure,
)
from kdtheory.search import SelfDistillationSearch, search_selfdistillation
from kdtheory.selection import (
    effective_dof,
    gcv_score,
    leave_group_out_predictions,
    loo_label_weights,
    loo_predictions,
)
from kdtheory.selfdistill import SelfDistillationGrid, SelfDistillationPath, selfdistill_closed_form, selfdistill_grid
from kdtheory.soft_labels import (
    TeacherError,
    best_label_smoothing,
    distort_probabilities,
    label_smoothing_error,
    noisy_sigmoid_error,
    noisy_sigmoid_teacher,
    smooth_labels,
    teacher_error,
    temper,
)
from kdtheory.spectral_fit import SpectralFit, fit_filter
from kdtheory.spectrum import LanczosWarning, Spectrum
from kdtheory.statistical import (
    DistilledRiskDeviation,
    distilled_risk,
    distilled_risk_deviation,
    empirical_risk,
    generalisation_bound,
    risk_variance_gap,
)
from kdtheory.transfer import distil_to_inputs, distil_to_kernel

__version__ = "0.1.0"

__all__ = [
    "Alternation",
    "BestFits",
    "ConstantWeights",
    "ConstrainedPath",
    "DegreesOfFreedom",
    "DistillationChain",
    "DistillationOutlook",
    "DistillationTrajectories",
    "Distilled",
    "DistilledRiskDeviation",
    "Filter",
    "FreeWeights",
    "GradientDescent",
    "GradientFlow",
    "LabelWeightRule",
    "LabelWeightWarning",
    "LanczosWarning",
    "Modes",
    "MonotoneWeights",
    "NotConvergedWarning",
    "PerSamplePath",
    "RandomDesign",
    "RankWarning",
    "Ridge",
    "RidgeSolution",
    "Risk",
    "SelfDistillation",
    "SelfDistillationGrid",
    "SelfDistillationLimit",
    "SelfDistillationPath",
    "SelfDistillationSearch",
    "SpectralFit",
    "Spectrum",
    "StandardErrors",
    "TeacherError",
    "Trajectory",
    "UnitIntervalWeights",
    "UnreachableCombinationError",
    "WienerFilter",
    "alternate_distillation",
    "best_label_smoothing",
    "can_distillation_help",
    "combination_from_label_weights",
    "degrees_of_freedom",
    "descent_trajectories",
    "distil_to_inputs",
    "distil_to_kernel",
    "distillation_outlook",
    "distilled_risk",
    "distilled_risk_deviation",
    "distort_probabilities",
    "double_distillation_gradient",
    "double_distillation_loss",
    "double_distillation_loss_and_gradient",
    "effective_dof",
    "empirical_risk",
    "estimate_label_weight",
    "estimate_noise_variance",
    "exaggeration_ratios",
    "fit_filter",
    "flow_trajectories",
    "gcv_score",
    "generalisation_bound",
    "greedy_label_weights",
    "in_sample_risk",
    "joint_label_weights",
    "label_smoothing_error",
    "label_weights_from_combination",
    "leave_group_out_predictions",
    "loo_label_weights",
    "loo_predictions",
    "matched_student_time",
    "negative_weights_from_logits",
    "negative_weights_from_probabilities",
    "noisy_sigmoid_error",
    "noisy_sigmoid_teacher",
    "oracle_label_weights",
    "out_of_sample_risk",
    "risk_variance_gap",
    "search_selfdistillation",
    "selfdistill_closed_form",
    "selfdistill_constrained",
    "selfdistill_grid",
    "selfdistill_iteratively",
    "selfdistill_per_sample",
    "smooth_labels",
    "solve_ridge",
    "sure",
    "teacher_error",
    "temper",
    "wiener_filter",
]
