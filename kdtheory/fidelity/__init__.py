"""Fidelity of a student to its teacher, from the logits of both: agreement, calibration and exaggerated confidence.

Logits are arrays of shape (n, n_classes) of any library, computed in double precision; nothing is ever a NaN.
"""

from kdtheory.fidelity.agreement import (
    IndependentStudentControl,
    agreement_bounds,
    independent_student_control,
    predictive_divergences,
    predictive_kl,
    top1_agreement,
)
from kdtheory.fidelity.calibration import ReliabilityDiagram, expected_calibration_error, reliability_diagram
from kdtheory.fidelity.dissection import Dissection, dissect
from kdtheory.fidelity.ensembles import ensemble_logits, logit_mse
from kdtheory.fidelity.exaggeration import ExaggerationSlope, exaggeration_slope, logit_logit_points
from kdtheory.fidelity.intervals import share_interval
from kdtheory.fidelity.predictions import (
    accuracy,
    logit_transformed_probabilities,
    negative_log_likelihood,
    predicted_classes,
    predictive_entropies,
    predictive_entropy,
)

__all__ = [
    "Dissection",
    "ExaggerationSlope",
    "IndependentStudentControl",
    "ReliabilityDiagram",
    "accuracy",
    "agreement_bounds",
    "dissect",
    "ensemble_logits",
    "exaggeration_slope",
    "expected_calibration_error",
    "independent_student_control",
    "logit_logit_points",
    "logit_mse",
    "logit_transformed_probabilities",
    "negative_log_likelihood",
    "predicted_classes",
    "predictive_divergences",
    "predictive_entropies",
    "predictive_entropy",
    "predictive_kl",
    "reliability_diagram",
    "share_interval",
    "top1_agreement",
]
