"""The page of a report: one HTML file with its style and its figures in it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

import kdtheory
from kdtheory.fidelity import ReliabilityDiagram
from kdtheory.report.drawing import draw
from kdtheory.report.numbers import Mean
from kdtheory.report.sentences import (
    number,
    percent,
    percent_interval,
    percentage_points,
    signed,
    slope_text,
    two_decimals,
    verdict,
    with_error,
)

if TYPE_CHECKING:
    from kdtheory.report.comparison import Report

GROUPS = {"both": "Both", "only_teacher": "Only the teacher", "only_student": "Only the student", "neither": "Neither"}


def render(report: Report) -> str:
    """Return the page as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        number=number,
        percent=percent,
        percent_interval=percent_interval,
        percentage_points=percentage_points,
        signed=signed,
        slope_text=slope_text,
        two_decimals=two_decimals,
        verdict=verdict,
        with_error=with_error,
    )
    controls, gains = _controls(report)
    folder = files("kdtheory.report")
    template = environment.from_string(folder.joinpath("page.html.jinja").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        figures=draw(report),
        groups=GROUPS,
        controls=controls,
        gains=gains,
        bins=[_filled_bins(model.reliability) for model in (report.teacher, report.student)],
        css=folder.joinpath("page.css").read_text(encoding="utf-8"),
        version=kdtheory.__version__,
    )


def _controls(report: Report) -> tuple[list[tuple[float, float]], tuple[str, str] | None]:
    """Agreement and divergence of each control, and the gains over their means."""
    control = report.control
    if control is None:
        return [], None
    pairs = zip(control.control_agreements, control.control_divergences, strict=True)
    gains = (
        percentage_points(Mean(control.agreement_gain, control.agreement_gain_error), report.n_points),
        with_error(Mean(control.divergence_gain, control.divergence_gain_error), sign=True),
    )
    return [(float(agreement), float(divergence)) for agreement, divergence in pairs], gains


def _filled_bins(diagram: ReliabilityDiagram) -> list[tuple[float, float, int, float, float, float]]:
    """Edges, count, confidence, accuracy and gap of bins with points."""
    rows = zip(
        diagram.edges[:-1],
        diagram.edges[1:],
        diagram.counts,
        diagram.mean_confidences,
        diagram.accuracies,
        diagram.gaps,
        strict=True,
    )
    return [(float(a), float(b), int(n), float(p), float(q), float(g)) for a, b, n, p, q, g in rows if n]
