"""The numbers of a report in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdtheory.fidelity import ExaggerationSlope

if TYPE_CHECKING:
    from kdtheory.report.comparison import Report
    from kdtheory.report.numbers import Mean, Share

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"


def percent(share: float, n_points: int) -> str:
    """A share in percent, with two decimals from 10,000 points on.

    Examples
    --------
    >>> percent(0.97106, 899).replace(SPACE, " ")
    '97.1 %'
    """
    return f"{100.0 * share:.{_decimals(n_points)}f}{SPACE}%"


def percent_interval(interval: tuple[float, float], n_points: int) -> str:
    """An interval of shares in percent."""
    low, high = (f"{100.0 * end:.{_decimals(n_points)}f}" for end in interval)
    return f"{low} to {high}{SPACE}%"


def points_of_percent(mean: Mean, n_points: int) -> str:
    """A difference of shares in points of percent, with its sign and its standard error."""
    digits = _decimals(n_points)
    return f"{signed(100.0 * mean.value, digits)} ± {100.0 * mean.standard_error:.{digits}f}"


def signed(value: float, digits: int) -> str:
    """A number with its sign, + or −; none for zero.

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
    """A number with so many significant digits, and never fewer than those before the point.

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
    """A mean with its standard error, which has two significant digits.

    Examples
    --------
    >>> from kdtheory.report.numbers import Mean
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


def slope_text(fit: ExaggerationSlope) -> str:
    """A slope with its interval."""
    low, high = fit.interval
    return f"{fit.slope:.2f} ({low:.2f} to {high:.2f})".replace("-", MINUS)


def verdict(fit: ExaggerationSlope | None) -> str:
    """What the interval of a slope says of the student."""
    if fit is None:
        return "no slope"
    if fit.interval[0] > 1.0:
        return "exaggerates"
    if fit.interval[1] < 1.0:
        return "evens out"
    return "undecided"


def summary(report: Report) -> tuple[str, ...]:
    """The report in a few sentences."""
    return _accuracies(report), _agreement(report), _exaggeration(report)


def _accuracies(report: Report) -> str:
    n = report.n_points
    change = report.change.accuracy
    difference = f"{abs(100.0 * change.value):.{_decimals(n)}f}"
    more = (
        "as often"
        if float(difference) == 0.0
        else f"{difference} points of percent {'more' if change.value > 0.0 else 'less'}"
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
    control = report.control
    if control is None:
        return text
    gain, error = 100.0 * control.agreement_gain, 100.0 * control.agreement_gain_error
    if abs(gain) <= 2.0 * error:
        return f"{text} Students of other teachers agree with this teacher about as often as its own student does."
    more = "more" if gain > 0.0 else "fewer"
    digits = _decimals(n)
    return (
        f"{text} That is {abs(gain):.{digits}f} points of percent {more} than students of other teachers"
        f" (standard error {error:.{digits}f})."
    )


def _exaggeration(report: Report) -> str:
    share = f"{100.0 * report.quantile:g}{SPACE}%"
    low = _one_end(report.top_class.low, f"On the {share} of points where the teacher is least sure")
    high = _one_end(report.top_class.high, f"On the {share} where it is surest")
    return f"{low} {high}"


def _one_end(fit: ExaggerationSlope | None, where: str) -> str:
    if fit is None:
        return f"{where}, its confidence hardly varies, and no slope can be fitted."
    texts = {
        "exaggerates": "the student exaggerates the differences in its confidence",
        "evens out": "the student evens out the differences in its confidence",
        "undecided": "the points do not tell whether the student exaggerates the differences in its confidence",
    }
    low, high = (f"{end:.2f}".replace("-", MINUS) for end in fit.interval)
    slope = f"{fit.slope:.2f}".replace("-", MINUS)
    return f"{where}, {texts[verdict(fit)]}: slope {slope} (95{SPACE}% interval {low} to {high})."


def _with_interval(share: Share, n_points: int, before: str = "") -> str:
    return f"{percent(share.value, n_points)} ({before}{percent_interval(share.interval, n_points)})"


def _decimals(n_points: int) -> int:
    return 1 if n_points < 10_000 else 2
