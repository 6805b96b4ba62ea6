"""Slow, obvious references: refitting with linear solves, and shrinkages at many digits."""

from dataclasses import dataclass

import mpmath
import numpy as np
import scipy.integrate
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


def refit_without(left_out, K, y, ridge, label_weights, sample_weight=None, intercept=False):
    """Predictions at the points `left_out` of every step of a chain that is fitted on the other points alone."""
    rest = np.setdiff1d(np.arange(len(K)), left_out)
    weight = np.ones(len(rest)) if sample_weight is None else sample_weight[rest]
    inner = K[np.ix_(rest, rest)]
    # Stationary in the dual coefficients c and the intercept b: W (K c + b − target) + ridge·c = 0, and Σ c = 0.
    system = np.zeros((len(rest) + 1, len(rest) + 1))
    system[:-1, :-1] = weight[:, None] * inner + ridge * np.eye(len(rest))
    system[:-1, -1] = weight * intercept
    system[-1, :-1] = float(intercept)
    system[-1, -1] = float(not intercept)
    target, fitted, steps = y[rest], None, []
    for label_weight in [None, *label_weights]:
        if label_weight is not None:
            target = label_weight * y[rest] + (1 - label_weight) * fitted
        right = (weight * target.T).T
        solution = np.linalg.solve(system, np.concatenate([right, np.zeros_like(right[:1])]))
        dual, constant = solution[:-1], solution[-1]
        fitted = inner @ dual + constant
        steps.append(K[np.ix_(left_out, rest)] @ dual + constant)
    return np.array(steps)


def refit_without_exactly(left_out, K, y, ridge, label_weights, intercept, digits=60):
    """The same as `refit_without` in many digits, for weights of one and one output."""
    rest = np.setdiff1d(np.arange(len(K)), left_out)
    n = len(rest)
    with mpmath.workdps(digits):
        inner = mpmath.matrix(K[np.ix_(rest, rest)].tolist())
        system = mpmath.zeros(n + 1)
        system[:n, :n] = inner + mpmath.mpf(ridge) * mpmath.eye(n)
        for i in range(n):
            system[i, n] = system[n, i] = int(intercept)
        system[n, n] = int(not intercept)
        labels, fitted, steps = mpmath.matrix(y[rest].tolist()), None, []
        for label_weight in [None, *label_weights]:
            target = labels
            if label_weight is not None:
                target = mpmath.mpf(label_weight) * labels + (1 - mpmath.mpf(label_weight)) * fitted
            right = mpmath.zeros(n + 1, 1)
            right[:n, 0] = target
            solution = mpmath.lu_solve(system, right)
            dual, constant = solution[:n, 0], solution[n]
            fitted = inner * dual + constant * mpmath.ones(n, 1)
            outside = mpmath.matrix(K[np.ix_(left_out, rest)].tolist()) * dual
            steps.append([float(value + constant) for value in outside])
    return np.array(steps)


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


def integrate_flow(K, targets, time, weight_decay=0.0, start=None):
    """Fitted values after gradient flow `f′ = −K (f − targets) − weight_decay·f`, by an ODE solver."""
    start = np.zeros_like(targets) if start is None else start

    def velocity(_, f):
        f = f.reshape(targets.shape)
        return (K @ (targets - f) - weight_decay * f).ravel()

    solution = scipy.integrate.solve_ivp(velocity, (0.0, time), start.ravel(), rtol=1e-10, atol=1e-12, method="DOP853")
    return solution.y[:, -1].reshape(targets.shape)


def descend_literally(
    X, targets, n_iterations, *, learning_rate, momentum=0.0, nesterov=False, weight_decay=0.0, start=None
):
    """Weights of a linear model after gradient descent on `½‖Xβ − targets‖² + weight_decay/2 ‖β‖²`, step by step."""
    weights = np.zeros((X.shape[1], *targets.shape[1:])) if start is None else start
    last = weights
    for _ in range(n_iterations):
        moved = weights + momentum * (weights - last)
        where = moved if nesterov else weights
        gradient = X.T @ (X @ where - targets) + weight_decay * where
        last, weights = weights, moved - learning_rate * gradient
    return weights


def exact_flow(eigenvalue, time, weight_decay, digits):
    """`q(d)`, `d·q(d)` and `1 − d·q(d)` of gradient flow from zero."""
    with mpmath.workdps(digits):
        d, t, mu = mpmath.mpf(eigenvalue), mpmath.mpf(time), mpmath.mpf(weight_decay)
        left = mpmath.exp(-(d + mu) * t) if (d + mu) * t < 1e6 else mpmath.mpf(0)
        coefficient = (1 - left) / (d + mu) if (d + mu) * t > mpmath.mpf(10) ** (50 - digits) else t
        return coefficient, d * coefficient, left + mu * coefficient


def exact_descent(eigenvalue, learning_rate, n_iterations, momentum, nesterov, weight_decay, digits):
    """`q(d)`, `d·q(d)` and `1 − d·q(d)` of gradient descent from zero, by powers of the step's own 2 × 2 matrix.

    The step maps this and the last residual: `r ← (1 + m − ηx) r − m r_last` for heavy ball, and
    `r ← (1 − ηx)((1 + m) r − m r_last)` for Nesterov's momentum, with `x = d + weight_decay`.
    """
    with mpmath.workdps(digits):
        d, eta, mu, m = (mpmath.mpf(value) for value in (eigenvalue, learning_rate, weight_decay, momentum))
        x = d + mu
        left = 1 - eta * x
        step = mpmath.matrix([[(1 + m) * left, -m * left], [1, 0]] if nesterov else [[m + left, -m], [1, 0]])
        power = mpmath.matrix([[1, 0], [0, 1]])
        for bit in bin(n_iterations)[2:]:
            power = power * power
            if bit == "1":
                power = power * step
        start = power[0, 0] + power[0, 1]
        coefficient = (1 - start) / x if x else None
        return coefficient, d * (coefficient or 0), start + mu * (coefficient or 0)


def wide_network_kernel(kernel, x, y, digits=60):
    """NNGP or NTK value of two points by the recursion of covariances, at many digits."""
    with mpmath.workdps(digits):
        x, y = (mpmath.matrix([float(v) for v in point]) for point in (x, y))
        weight, bias = mpmath.mpf(kernel.weight_variance), mpmath.mpf(kernel.bias_variance)
        k, k_xx, k_yy = (weight * mpmath.fdot(a, b) / len(x) + bias for a, b in ((x, y), (x, x), (y, y)))
        ntk = k
        for _ in range(kernel.depth):
            (t, derivative), (t_xx, _), (t_yy, _) = (
                _expectations(kernel, *covariances) for covariances in ((k, k_xx, k_yy), (k_xx,) * 3, (k_yy,) * 3)
            )
            k, k_xx, k_yy = weight * t + bias, weight * t_xx + bias, weight * t_yy + bias
            ntk = weight * ntk * derivative + k
        return ntk if type(kernel).__name__ == "NTK" else k


def _expectations(kernel, k, k_xx, k_yy):
    """`E φ(u)φ(v)` and `E φ′(u)φ′(v)`."""
    if kernel.activation == "identity":
        return k, mpmath.mpf(1)
    if kernel.activation == "erf":
        product = (1 + 2 * k_xx) * (1 + 2 * k_yy)
        sine = min(mpmath.mpf(1), max(mpmath.mpf(-1), 2 * k / mpmath.sqrt(product)))
        return 2 / mpmath.pi * mpmath.asin(sine), 4 / mpmath.pi / mpmath.sqrt(product - 4 * k**2)
    slope = {"relu": 0.0, "leaky_relu": 0.01}[kernel.activation] if kernel.slope is None else kernel.slope
    slope, length = mpmath.mpf(slope), mpmath.sqrt(k_xx * k_yy)
    cosine = min(mpmath.mpf(1), max(mpmath.mpf(-1), k / length)) if length else mpmath.mpf(0)
    supplement, share = mpmath.pi - mpmath.acos(cosine), (1 - slope) ** 2 / (2 * mpmath.pi)
    arc = length * (mpmath.sin(supplement) - supplement * mpmath.cos(supplement))
    return share * arc + slope * k, share * supplement + slope
