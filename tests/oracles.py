"""Slow, obvious references: refitting with linear solves, and shrinkages at many digits."""

from dataclasses import dataclass

import mpmath
import numpy as np
import scipy.linalg


@dataclass
class Refits:
    """Fitted values, dual coefficients and predictions of every step, the first axis counting steps."""

    fitted: np.ndarray
    dual_coef: np.ndarray
    predictions: np.ndarray


def refit(K, y, ridge, label_weights, K_test=None):
    """Self-distil by solving one linear system for each step."""
    K_test = K if K_test is None else K_test
    target, steps = y, []
    for label_weight in [None, *label_weights]:
        if label_weight is not None:
            target = label_weight * y + (1 - label_weight) * steps[-1][0]
        dual = scipy.linalg.solve(K + ridge * np.eye(len(K)), target, assume_a="pos")
        steps.append((K @ dual, dual, K_test @ dual))
    return Refits(*(np.array(part) for part in zip(*steps, strict=True)))


def exact_modes(eigenvalue, ridge, n_steps, label_weight, digits):
    """`q(d)`, `d·q(d)` and `1 − d·q(d)` of a constant label weight, then the size of the terms in the last two.

    The geometric sum of Theorem 4.1 as it stands, with enough digits that its cancellations do no harm.
    """
    with mpmath.workdps(digits):
        d, lam, alpha = mpmath.mpf(eigenvalue), mpmath.mpf(ridge), mpmath.mpf(label_weight)
        a, m = d / (d + lam), n_steps - 1
        q = (1 - alpha) * a
        power = q**m if m else mpmath.mpf(1)
        total = mpmath.mpf(m) if q == 1 else (1 - power) / (1 - q)
        target = alpha * total + power
        if q == 1:
            terms, residual_terms = abs(alpha * m) + 1, (1 - a) * n_steps
        else:
            terms = min(abs(alpha * total) + abs(power), (abs(alpha) + abs((1 - alpha) * (1 - a) * power)) / abs(1 - q))
            residual_terms = (1 - a) * (1 + abs(q * power)) / abs(1 - q)
        return target / (d + lam), a * target, 1 - a * target, a * terms, residual_terms
