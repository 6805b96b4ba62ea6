"""Logits of a teacher and a student for tests, and their metrics with digits to spare."""

import mpmath
import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**32 - 1)
temperatures = st.sampled_from([0.25, 1.0, 4.0])


def models(seed, n=50, n_classes=4, scale=3.0):
    """Logits of a teacher and a student, and labels that both know something of."""
    rng = np.random.default_rng(seed)
    teacher = scale * rng.standard_normal((n, n_classes))
    student = teacher + rng.standard_normal((n, n_classes))
    labels = np.argmax(teacher + rng.gumbel(size=(n, n_classes)), axis=1)
    return teacher, student, labels


def exact_log_softmax(row, temperature):
    scaled = [mpmath.mpf(float(z)) / mpmath.mpf(float(temperature)) for z in row]
    top = max(scaled)
    normaliser = top + mpmath.log(mpmath.fsum(mpmath.exp(z - top) for z in scaled))
    return [z - normaliser for z in scaled]


def exact_divergence(teacher, student, temperature=1.0):
    """Kullback-Leibler divergence, with digits to spare for what cancels."""
    with mpmath.workdps(120):
        log_p, log_q = (exact_log_softmax(row, temperature) for row in (teacher, student))
        return float(mpmath.fsum(mpmath.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True)))


def exact_entropy(row, temperature=1.0):
    with mpmath.workdps(60):
        return float(-mpmath.fsum(mpmath.exp(p) * p for p in exact_log_softmax(row, temperature)))


def exact_loss(row, label, temperature=1.0):
    with mpmath.workdps(60):
        return float(-exact_log_softmax(row, temperature)[label])


def exact_logit_transform(row, at, temperature=1.0):
    """`log p − log(1 − p)`, with 1 − p as the sum of the other probabilities."""
    with mpmath.workdps(60):
        p = [mpmath.exp(each) for each in exact_log_softmax(row, temperature)]
        return float(mpmath.log(p[at]) - mpmath.log(mpmath.fsum(p[:at] + p[at + 1 :])))
