"""Figures of the papers: functions that draw on given axes, displays of searches, and the style they share.

Needs matplotlib: `pip install "kdtheory[figures]"`.
"""

import importlib.util

if importlib.util.find_spec("matplotlib") is None:
    raise ModuleNotFoundError('kdtheory.figures needs matplotlib: pip install "kdtheory[figures]"')

from kdtheory.figures.command_line import figure_parser
from kdtheory.figures.fidelity import draw_dissection, draw_logit_logit, draw_reliability
from kdtheory.figures.flatness import draw_eigenvalue_ecdf, draw_flatness_rounds, draw_spectral_density
from kdtheory.figures.flow import STUDENT, TEACHER, component_lengths, draw_eigenspace, draw_exaggeration, draw_filters
from kdtheory.figures.output import save_figures
from kdtheory.figures.risk import draw_risk, draw_separation
from kdtheory.figures.robustness import draw_effective_robustness, draw_robustness_by_weight
from kdtheory.figures.script import Reproduction, Script
from kdtheory.figures.selection import HeldOutErrorDisplay, LabelWeightsDisplay
from kdtheory.figures.selfdistill import (
    draw_shrinkage,
    draw_shrinkage_ratios,
    draw_solutions,
    write_label_weights,
)
from kdtheory.figures.statistical import (
    draw_band,
    draw_distortions,
    draw_equal_noise,
    draw_legend,
    draw_level,
    draw_oracle,
    draw_student_against_teacher,
    draw_teacher_errors,
    draw_trials,
    mean_and_error,
)
from kdtheory.figures.style import STYLE
from kdtheory.figures.surfaces import (
    draw_loss_contours,
    draw_loss_heat_map,
    draw_loss_surface_3d,
    draw_plane,
    loss_levels,
)

__all__ = [
    "STUDENT",
    "STYLE",
    "TEACHER",
    "HeldOutErrorDisplay",
    "LabelWeightsDisplay",
    "Reproduction",
    "Script",
    "component_lengths",
    "draw_band",
    "draw_dissection",
    "draw_distortions",
    "draw_effective_robustness",
    "draw_eigenspace",
    "draw_eigenvalue_ecdf",
    "draw_equal_noise",
    "draw_exaggeration",
    "draw_filters",
    "draw_flatness_rounds",
    "draw_legend",
    "draw_level",
    "draw_logit_logit",
    "draw_loss_contours",
    "draw_loss_heat_map",
    "draw_loss_surface_3d",
    "draw_oracle",
    "draw_plane",
    "draw_reliability",
    "draw_risk",
    "draw_robustness_by_weight",
    "draw_separation",
    "draw_shrinkage",
    "draw_shrinkage_ratios",
    "draw_solutions",
    "draw_spectral_density",
    "draw_student_against_teacher",
    "draw_teacher_errors",
    "draw_trials",
    "figure_parser",
    "loss_levels",
    "mean_and_error",
    "save_figures",
    "write_label_weights",
]
