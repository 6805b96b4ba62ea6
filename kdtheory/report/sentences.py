"""The numbers of a report in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdtheory.fidelity import ExaggerationSlope, IndependentStudentControl
from kdtheory.report.numbers import Mean, Share

if TYPE_CHECKING:
    from kdtheory.report.comparison import Report

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"

_ERRORS_APART = 2.0
"""Standard errors from zero up to which a gain is about none."""

_TEXTS = {
    "exaggerates": "the student exaggerates the differences in its confidence",
    "evens out": "the student evens out the differences in its confidence",
    "undecided": "the points do not tell whether the student exaggerates the differences in its confidence",
}


def percent(share: float, n_points: int) -> str:
    """Write a share in percent, with two decimals from 10,000 points on.

    Examples
    --------
    >>> percent(0.97106, 899).replace(SPACE, " ")
    '97.1 %'
    """
    return f"{100.0 * share:.{_decimals(n_points)}f}{SPACE}%"


def percent_interval(interval: tuple[float, float], n_points: int) -> str:
    """Write an interval of shares in percent."""
    low, high = (f"{100.0 * end:.{_decimals(n_points)}f}" for end in interval)
    return f"{low} to {high}{SPACE}%"


def percentage_points(mean: Mean, n_points: int) -> str:
    """Write a difference of shares in percentage points, with its sign and its standard error."""
    digits = _decimals(n_points)
    return f"{signed(100.0 * mean.value, digits)} ± {100.0 * mean.standard_error:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """Write a number with its sign, + or −; none for zero.

    Examples
    --------
    >>> signed(-0.25, 1), signed(0.001, 1), signed(1.0, 1)
    ('−0.2', '0.0', '+1.0')
    """
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0.0:
        return text
    return ("+" if value > 0.0 else MINUS) + text


def number(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """Write a number with so many significant digits, and never fewer than those before the point.

    Examples
    --------
    >>> number(0.123456), number(1234.5), number(1.2e-7), number(-3.0)
    ('0.123', '1234', '1.20e−7', '−3.00')
    """
    if value == 0.0:
        return "0"
    plus = "+" if sign and value > 0.0 else ""
    power = math.floor(math.log10(abs(value)))
    if not -5 <= power < 6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{plus}{mantissa}e{int(exponent)}".replace("-", MINUS)
    return f"{plus}{value:.{max(digits - 1 - power, 0)}f}".replace("-", MINUS)


def with_error(mean: Mean, *, sign: bool = False) -> str:
    """Write a mean with its standard error, which has two significant digits.

    Examples
    --------
    >>> with_error(Mean(0.12345, 0.0123)), with_error(Mean(-2.5, 0.0), sign=True)
    ('0.123 ± 0.012', '−2.50 ± 0')
    """
    value, error = mean.value, mean.standard_error
    plus = "+" if sign and value > 0.0 else ""
    if error == 0.0:
        return f"{plus}{number(value)} ± 0"
    digits = 1 - math.floor(math.log10(error))
    if not 0 <= digits <= 6:
        return f"{plus}{number(value)} ± {number(error, 2)}"
    return f"{plus}{value:.{digits}f} ± {error:.{digits}f}".replace("-", MINUS)


def two_decimals(value: float) -> str:
    """Write a slope, or the first digits of a large one.

    Examples
    --------
    >>> two_decimals(-0.678), two_decimals(12345678.9)
    ('−0.68', '1.23e7')
    """
    return f"{value:.2f}".replace("-", MINUS) if abs(value) < 1e4 else number(value)


def slope_text(fit: ExaggerationSlope) -> str:
    """Write a slope with its interval."""
    return _slope(fit, "")


def verdict(fit: ExaggerationSlope | None) -> str:
    """Say what the interval of a slope says of the student."""
    if fit is None:
        return "no slope"
    if fit.interval[0] > 1.0:
        return "exaggerates"
    if fit.interval[1] < 1.0:
        return "evens out"
    return "undecided"


def summary(report: Report) -> tuple[str, ...]:
    """Say the report in a few sentences."""
    return _accuracies(report), _agreement(report), _exaggeration(report)


def _accuracies(report: Report) -> str:
    n = report.n_points
    change = report.change.accuracy
    difference = f"{abs(100.0 * change.value):.{_decimals(n)}f}"
    more = (
        "as often"
        if float(difference) == 0.0
        else f"{difference} percentage points {'more' if change.value > 0.0 else 'less'}"
    )
    error = f"standard error {100.0 * change.standard_error:.{_decimals(n)}f}"
    return (
        f"On {n:,} points of {report.n_classes:,} classes the teacher is right on"
        f" {_with_interval(report.teacher.accuracy, n, '95' + SPACE + '% interval ')} and the student on"
        f" {_with_interval(report.student.accuracy, n)}: {more} ({error})."
    )


def _agreement(report: Report) -> str:
    n = report.n_points
    least, largest = (percent(bound, n) for bound in report.agreement_bounds)
    text = (
        f"The two predict the same class on {_with_interval(report.agreement, n)}; any two models that are right so"
        f" often agree on {least} to {largest}."
    )
    return text if report.control is None else f"{text} {_control(report.control, n)}"


def _control(control: IndependentStudentControl, n_points: int) -> str:
    gain, error = control.agreement_gain, control.agreement_gain_error
    digits = _decimals(n_points)
    agree = f"{abs(100.0 * gain):.{digits}f} percentage points (standard error {100.0 * error:.{digits}f})"
    if abs(gain) <= _ERRORS_APART * error:
        agree = "about as much"
        than = "as"
    else:
        agree += " more" if gain > 0.0 else " less"
        than = "than"
    divergence = with_error(Mean(abs(control.divergence_gain), control.divergence_gain_error))
    if abs(control.divergence_gain) <= _ERRORS_APART * control.divergence_gain_error:
        probabilities = "its probabilities are about as near to the teacher’s as theirs"
    else:
        nearer = "nearer to" if control.divergence_gain > 0.0 else "farther from"
        probabilities = f"its probabilities are {nearer} the teacher’s than theirs, by {divergence} nats"
    return f"It agrees with this teacher {agree} {than} students of other teachers do; {probabilities}."


def _exaggeration(report: Report) -> str:
    share = f"{100.0 * report.quantile:g}{SPACE}%"
    low, high = report.top_class.low, report.top_class.high
    surest = f"on the {share} where it is surest"
    if low is not None and high is not None and verdict(low) == verdict(high):
        return (
            f"On the {share} of points where the teacher is least sure, and {surest}, {_TEXTS[verdict(low)]}: slopes"
            f" {_slope(low)} and {_slope(high, '')}."
        )
    return f"{_one_end(low, f'On the {share} of points where the teacher is least sure')} O{_one_end(high, surest)[1:]}"


def _one_end(fit: ExaggerationSlope | None, where: str) -> str:
    if fit is None:
        return f"{where}, its confidence hardly varies, and no slope can be fitted."
    return f"{where}, {_TEXTS[verdict(fit)]}: slope {_slope(fit)}."


def _slope(fit: ExaggerationSlope, before: str = f"95{SPACE}% interval ") -> str:
    low, high = (two_decimals(end) for end in fit.interval)
    return f"{two_decimals(fit.slope)} ({before}{low} to {high})"


def _with_interval(share: Share, n_points: int, before: str = "") -> str:
    return f"{percent(share.value, n_points)} ({before}{percent_interval(share.interval, n_points)})"


def _decimals(n_points: int) -> int:
    return 1 if n_points < 10_000 else 2
