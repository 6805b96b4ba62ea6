"""Effective robustness: accuracy on shifted data beyond what models of that accuracy have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsFloat

import numpy as np
from scipy.special import stdtrit

from kdtheory._validation import require_array, require_real, require_vector
from kdtheory.robustness._accuracies import (
    measured,
    require_accuracies,
    require_inside,
    require_mask,
    require_names,
    require_sizes,
)
from kdtheory.robustness._line import Line
from kdtheory.robustness._scales import SCALES, Scale


@dataclass(frozen=True, eq=False)
class Deviations:
    """What a line predicts for each model, and how far the model is from it; a part of `EffectiveRobustness`.

    Attributes
    ----------
    predicted : array of shape (n,)
        Accuracies on the shifted data that the line predicts from those on the reference data.
    robustness : array of shape (n,)
        Effective robustness: accuracies on the shifted data less the predicted ones.
    robustness_errors : array of shape (n,)
        Standard errors of that, to first order.
    residuals, residual_errors : array of shape (n,)
        The same on the scale of the line, where the errors are exact. Their ratio tells how unusual a model is.
    """

    predicted: np.ndarray
    robustness: np.ndarray
    robustness_errors: np.ndarray
    residuals: np.ndarray
    residual_errors: np.ndarray


@dataclass(frozen=True, eq=False)
class EffectiveRobustness(Deviations):
    """The line through a testbed of models, and how far each model is from it; `effective_robustness` makes it.

    Attributes
    ----------
    predicted, robustness, robustness_errors, residuals, residual_errors : array of shape (n,)
        As in `Deviations`, from the line through the whole testbed.
    scale : str
        "probit", "logit" or "linear".
    slope, intercept, slope_error, intercept_error : float
        Of the line on this scale, with standard errors.
    r_squared : float
        Share of the variance of the testbed on shifted data that the line explains; 0 where there is none.
    spread : float
        Root mean square of the testbed's residuals, over `n − 2`.
    own_spread : float
        What is left of it without the errors of finite test sets; the spread itself where their sizes are not given.
    names : tuple of str
    reference, shifted : array of shape (n,)
        Accuracies, as given.
    testbed : array of n bools
        Which models the line goes through.
    x, y : array of shape (n,)
        Accuracies on the scale.
    """

    scale: str
    slope: float
    intercept: float
    slope_error: float
    intercept_error: float
    r_squared: float
    spread: float
    own_spread: float
    names: tuple[str, ...]
    reference: np.ndarray
    shifted: np.ndarray
    testbed: np.ndarray
    x: np.ndarray
    y: np.ndarray
    _line: Line = field(repr=False)

    def predict(self, reference: Any) -> np.ndarray:
        """Accuracies on shifted data that the line predicts.

        Parameters
        ----------
        reference : array of any shape
            Accuracies on the reference data; between 0 and 1, on the linear scale 0 and 1 as well.

        Returns
        -------
        array of that shape
            The linear scale knows no bounds: its line can leave [0, 1].

        Raises
        ------
        ValueError, TypeError
            For accuracies out of range.
        """
        scale = SCALES[self.scale]
        return scale.accuracy(self._line.at(self._coordinates(reference)))

    def line_interval(self, reference: Any, *, confidence_level: SupportsFloat = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Interval for the line itself, at given accuracies on the reference data.

        Parameters
        ----------
        reference : array of any shape
        confidence_level : float, default 0.95
            In (0, 1), at each point by itself; of Student's distribution with `n − 2` degrees of freedom.

        Returns
        -------
        low : array of that shape
        high : array of that shape
            Accuracies on the shifted data.

        Raises
        ------
        ValueError, TypeError
            For arguments out of range.
        """
        u = self._coordinates(reference)
        return self._interval(u, self._line.variance(u), confidence_level)

    def prediction_interval(
        self, reference: Any, *, confidence_level: SupportsFloat = 0.95
    ) -> tuple[np.ndarray, np.ndarray]:
        """Interval for one more model of the testbed's kind, measured like the models there.

        Parameters
        ----------
        reference : array of any shape
        confidence_level : float, default 0.95
            As for `line_interval`.

        Returns
        -------
        low : array of that shape
        high : array of that shape
            Accuracies on the shifted data.

        Raises
        ------
        ValueError, TypeError
            For arguments out of range.
        """
        u = self._coordinates(reference)
        return self._interval(u, self.spread**2 + self._line.variance(u), confidence_level)

    def held_out(self) -> Deviations:
        """Compare each model of the testbed with the line through the others; models outside it stay as they are.

        Returns
        -------
        Deviations

        Raises
        ------
        ValueError
            For a testbed of three models, whose lines through two leave no residual to judge by, and for one where all
            models but one have the same accuracy on the reference data.

        Notes
        -----
        In closed form, O(n): residuals over `1 − leverage`, with the spread of the others alone. Without sizes of test
        sets the residuals over their errors are the externally studentised ones. Twin: `get_influence` of
        `statsmodels.OLS`.
        """
        residuals, errors = self.residuals.copy(), self.residual_errors.copy()
        residuals[self.testbed], errors[self.testbed] = self._line.held_out()
        scale = SCALES[self.scale]
        return _deviations(scale, self.y - residuals, self.shifted, residuals, errors)

    def rows(self) -> list[dict[str, Any]]:
        """Give one dictionary for each model, in their order.

        Returns
        -------
        list of dict
            For `pandas.DataFrame` and `csv.DictWriter`.
        """
        columns: dict[str, Any] = {
            "model": self.names,
            "reference": self.reference.tolist(),
            "shifted": self.shifted.tolist(),
            "predicted": self.predicted.tolist(),
            "robustness": self.robustness.tolist(),
            "robustness_error": self.robustness_errors.tolist(),
            "residual": self.residuals.tolist(),
            "residual_error": self.residual_errors.tolist(),
            "testbed": self.testbed.tolist(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _coordinates(self, reference: Any) -> np.ndarray:
        p = require_accuracies("reference", require_array("reference", reference))
        require_inside("reference", p, SCALES[self.scale], self.scale, "")
        return SCALES[self.scale].of(p)

    def _interval(self, u: np.ndarray, variance: np.ndarray, level: SupportsFloat) -> tuple[np.ndarray, np.ndarray]:
        share = require_real("confidence_level", level)
        if not 0.0 < share < 1.0:
            raise ValueError(f"confidence_level must be > 0 and < 1, got {level!r}")
        half = stdtrit(self._line.size - 2, 0.5 + share / 2.0) * np.sqrt(variance)
        accuracy, middle = SCALES[self.scale].accuracy, self._line.at(u)
        return accuracy(middle - half), accuracy(middle + half)


def effective_robustness(
    reference: Any,
    shifted: Any,
    *,
    testbed: Any = None,
    names: Sequence[str] | None = None,
    scale: str = "probit",
    n_points: tuple[Any, Any] | None = None,
) -> EffectiveRobustness:
    """Fit accuracy on shifted data to accuracy on reference data, and see which models lie above the line.

    Parameters
    ----------
    reference, shifted : array of shape (n,)
        Accuracies of n models on data like those that they were trained on, and on shifted data, in [0, 1].
    testbed : array of n bools, optional
        Which models the line goes through, three or more; default: all. Teachers and students to judge are best left
        out.
    names : sequence of n str, optional
        Of the models, for tables and figures; default: their numbers.
    scale : {"probit", "logit", "linear"}, default "probit"
        Of both axes: the quantile of the normal distribution, log odds, or the accuracy itself.
    n_points : (n_reference, n_shifted), optional
        Numbers of test points, each one number or an array of shape (n,). With them the errors have the binomial ones
        of the accuracies in them, and accuracies of 0 and 1 can be taken.

    Returns
    -------
    EffectiveRobustness

    Raises
    ------
    ValueError, TypeError
        For accuracies outside [0, 1], such as percents; 0 or 1 on an unbounded scale without `n_points`; accuracies
        that no share of so many points is near; fewer than three models in the testbed, or the same reference
        accuracy in all of them; and arrays of different lengths.

    Notes
    -----
    The line is that of ordinary least squares on the transformed accuracies, as in the published code of Taori et al.
    (2020), who have log odds on the axes; Miller et al. (2021) have probits. Errors of the reference accuracies make
    it less steep, and are not corrected for.

    Each model scatters about the line with the variance `τ² + v`, where v is the binomial one of its two accuracies,
    to first order, and τ² that of the models, by moments and >= 0; without `n_points` v is 0 and τ² the usual `s²`.
    The errors of the line are those of least squares under these variances. The error of a model outside the testbed
    is that of a prediction, `τ² + v` and the variance of the line at it; that of a model inside, that of a residual.

    An accuracy of 0 or 1 is moved by half a point, to `1/(2 n_points)` from the end, before it is transformed.

    Cost: O(n). Source: Taori et al. (2020), section 3; Pham et al. (2022), section 7. Twin: `scipy.stats.linregress`,
    for the line and, without `n_points`, its errors.

    Examples
    --------
    A teacher with robustness of its own, and its students by how much they also learn from labels:

    >>> reference = [0.55, 0.65, 0.72, 0.78, 0.81, 0.60, 0.58, 0.68]
    >>> shifted = [0.42, 0.53, 0.61, 0.66, 0.71, 0.55, 0.52, 0.58]
    >>> names = ["a", "b", "c", "d", "e", "teacher", "weight 0", "weight 0.5"]
    >>> result = effective_robustness(reference, shifted, names=names, testbed=np.arange(8) < 5)
    >>> round(result.slope, 3), round(result.r_squared, 3)
    (0.977, 0.995)
    >>> for name, gain, error in zip(names[5:], result.robustness[5:], result.robustness_errors[5:]):
    ...     print(f"{name}: {gain:.3f} ± {error:.3f}")
    teacher: 0.076 ± 0.011
    weight 0: 0.066 ± 0.012
    weight 0.5: 0.023 ± 0.010
    """
    if scale not in SCALES:
        raise ValueError(f'scale must be "probit", "logit" or "linear", got {scale!r}')
    chosen = SCALES[scale]
    p = require_accuracies("reference", require_vector("reference", reference))
    q = require_accuracies("shifted", require_vector("shifted", shifted))
    if len(p) != len(q):
        raise ValueError(f"shifted must have {len(p)} entries, one for each model, like reference, got shape {q.shape}")
    inside = require_mask(testbed, len(p))
    labels = require_names(names, len(p))
    if n_points is None:
        how = "; pass n_points=(n_reference, n_shifted), the sizes of the test sets"
        require_inside("reference", p, chosen, scale, how)
        require_inside("shifted", q, chosen, scale, how)
        x, y = chosen.of(p), chosen.of(q)
        x_variances = y_variances = np.zeros_like(p)
    else:
        sizes = require_sizes(n_points, p, q)
        x, x_variances = measured(chosen, p, sizes[0])
        y, y_variances = measured(chosen, q, sizes[1])
    if np.ptp(x[inside]) == 0.0:
        raise ValueError(
            f"reference must have different accuracies in the testbed, got {float(p[inside][0])!r} for all"
        )

    line = Line.fit(x[inside], y[inside], x_variances[inside], y_variances[inside])
    variances = line.own_variance + y_variances + line.slope**2 * x_variances
    errors = np.sqrt(variances + line.variance(x))
    errors[inside] = line.residual_errors()
    deviations = _deviations(chosen, line.at(x), q, y - line.at(x), errors)
    return EffectiveRobustness(
        **vars(deviations),
        scale=scale,
        slope=line.slope,
        intercept=float(line.at(np.zeros(()))),
        slope_error=float(np.sqrt(line.slope_variance)),
        intercept_error=float(np.sqrt(line.variance(np.zeros(())))),
        r_squared=line.r_squared,
        spread=float(np.sqrt(line.squares / (line.size - 2))),
        own_spread=float(np.sqrt(line.own_variance)),
        names=labels,
        reference=p,
        shifted=q,
        testbed=inside,
        x=x,
        y=y,
        _line=line,
    )


def _deviations(
    scale: Scale, heights: np.ndarray, shifted: np.ndarray, residuals: np.ndarray, errors: np.ndarray
) -> Deviations:
    predicted = scale.accuracy(heights)
    return Deviations(
        predicted=predicted,
        robustness=shifted - predicted,
        robustness_errors=scale.slope(heights) * errors,
        residuals=residuals,
        residual_errors=errors,
    )
