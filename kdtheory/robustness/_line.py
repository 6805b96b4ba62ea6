"""A least-squares line through points that are measured with errors of known size, and each point without itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ALONE = 1e-10
"""Least `1 − leverage` of a point whose line without it has digits."""


@dataclass(frozen=True, eq=False)
class Line:
    """Ordinary least squares; points scatter about the line with a variance of their own, and with known ones.

    The variance of a point is `own_variance + y_variances + slope²·x_variances`.
    """

    centre: float
    level: float
    slope: float
    total: float
    """Sum of the squares of `offsets`."""
    offsets: np.ndarray
    residuals: np.ndarray
    leverages: np.ndarray
    squares: float
    """Sum of the squares of `residuals`."""
    r_squared: float
    own_variance: float
    x_variances: np.ndarray
    y_variances: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, x_variances: np.ndarray, y_variances: np.ndarray) -> Line:
        """Line through n >= 3 points with different x, whose known variances are given."""
        centre, level = float(np.mean(x)), float(np.mean(y))
        u, v = x - centre, y - level
        total, spread = float(u @ u), float(v @ v)
        slope = float(u @ v) / total
        residuals = v - slope * u
        leverages = 1.0 / len(x) + u * u / total
        squares = float(residuals @ residuals)
        known = y_variances + slope**2 * x_variances
        return cls(
            centre=centre,
            level=level,
            slope=slope,
            total=total,
            offsets=u,
            residuals=residuals,
            leverages=leverages,
            squares=squares,
            r_squared=1.0 - squares / spread if spread > 0.0 else 0.0,
            own_variance=max(0.0, squares - float((1.0 - leverages) @ known)) / (len(x) - 2),
            x_variances=x_variances,
            y_variances=y_variances,
        )

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.offsets)

    @property
    def variances(self) -> np.ndarray:
        """Of every point about the line."""
        return self.own_variance + self.y_variances + self.slope**2 * self.x_variances

    @property
    def slope_variance(self) -> float:
        """Variance of the slope."""
        return float(self.offsets**2 @ self.variances) / self.total**2

    def at(self, x: np.ndarray) -> np.ndarray:
        """Height of the line."""
        return self.level + self.slope * (x - self.centre)

    def variance(self, x: np.ndarray) -> np.ndarray:
        """Variance of the height of the line."""
        return self._weighed(x - self.centre, self.variances)

    def residual_errors(self) -> np.ndarray:
        """Give the standard errors of the residuals."""
        variances = self.variances
        own = (1.0 - 2.0 * self.leverages) * variances + self._weighed(self.offsets, variances)
        return np.sqrt(np.maximum(own, 0.0))

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Give residuals of the points from the lines through the others, and their standard errors."""
        if self.size < 4:
            raise ValueError(f"testbed must have 4 models or more to hold each of them out, got {self.size}")
        rest = 1.0 - self.leverages
        if np.min(rest) < _ALONE:
            raise ValueError(
                "reference must have different accuracies in the testbed without any one of its models, got the same"
                f" without the one at position {int(np.argmin(rest))} of the testbed"
            )
        residuals = self.residuals / rest
        slopes = self.slope - self.offsets * residuals / self.total
        squares = self.squares - self.residuals * residuals
        y_moment, y_line = self._without_each(self.y_variances)
        x_moment, x_line = self._without_each(self.x_variances)
        own = np.maximum(0.0, squares - y_moment - slopes**2 * x_moment) / (self.size - 3)
        known = self.y_variances + y_line + slopes**2 * (self.x_variances + x_line)
        return residuals, np.sqrt(own / rest + known)

    def _weighed(self, offsets: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """Sum the variances times the squares of what each point weighs in the line, for each of `offsets`."""
        n, u = self.size, self.offsets
        constant, linear, square = np.sum(variances), float(u @ variances), float(u**2 @ variances)
        inner = offsets / self.total
        return np.maximum(constant / n**2 + 2.0 * inner * linear / n + inner**2 * square, 0.0)

    def _without_each(self, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give what these variances add to the squares about the line without each point, and to its variance there."""
        h, rest = self.leverages, 1.0 - self.leverages
        weighed = self._weighed(self.offsets, variances)
        moment = float(rest @ variances) - (weighed + (1.0 - 2.0 * h) * variances) / rest
        return moment, np.maximum(weighed - h**2 * variances, 0.0) / rest**2
