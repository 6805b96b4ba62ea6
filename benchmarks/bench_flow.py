"""Claims: the trajectories of a teacher with 10 outputs on 2,000 points at 50 times under gradient flow, decomposition
included, take at most 1.2 times one call of `scipy.linalg.eigh`, and so do those of the teacher and of the student that
is distilled from it together. They take less time than `gradient_descent_mse` of neural-tangents, and agree with it.

BLAS threads are pinned in each benchmark and named in its results. What is compared is run in turns; ratios are medians
of pairs. Errors are the largest difference at any time, relative to the largest reference value at that time. One
reference applies `1 − exp(−time·d)` with all factors of `scipy.linalg.eigh`; on the first 40 points another one
integrates `f′ = −K (f − targets)` step by step.

neural-tangents is measured in an environment of its own (`constraints/neural-tangents.txt`), in double precision, with
the kernel, targets and times on its device beforehand and its results left there. Its loss is `½‖f − y‖²/N` with
N = n·k targets, so `learning_rate = N` makes its times ours. `jax.jit` cannot take the kernel as an argument, since the
decomposition escapes the tracing; around the returned function it compiles again for every kernel. So its best first
call is an eager one, and its best later call, with the decomposition at hand, is whichever is faster. XLA's own threads
are not pinned: with one BLAS thread only the decomposition of neural-tangents runs on one.
"""

import sys
import types

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
from sklearn.metrics.pairwise import rbf_kernel
from threadpoolctl import threadpool_limits

from benchmarks.conftest import median_ratio, seconds
from kdtheory import Spectrum, flow_trajectories

N_POINTS, N_FEATURES, N_OUTPUTS, GAMMA = 2000, 10, 10, 0.05
TIMES, TEACHER_TIME, LABEL_WEIGHT = np.logspace(-4, 3, 50), 1.0, 0.3

rng = np.random.default_rng(0)
X = rng.standard_normal((N_POINTS, N_FEATURES))
Y = np.sin(X @ rng.standard_normal((N_FEATURES, N_OUTPUTS))) + 0.1 * rng.standard_normal((N_POINTS, N_OUTPUTS))
K = rbf_kernel(X, gamma=GAMMA)
SMALL = K[:40, :40], Y[:40]
SIZES = {"n_points": N_POINTS, "n_outputs": N_OUTPUTS, "n_times": len(TIMES)}


def trajectories(gram, y):
    return flow_trajectories(gram, y, times=TIMES, teacher_time=TEACHER_TIME, label_weight=LABEL_WEIGHT)


def teacher(gram=K, y=Y):
    return (trajectories(gram, y).teacher.fitted,)


def teacher_and_student(gram=K, y=Y):
    run = trajectories(gram, y)
    return run.teacher.fitted, run.student.fitted


def by_eigh(gram, y):
    """The explicit formula, for the teacher and the student."""
    d, u = scipy.linalg.eigh(gram)

    def follow(targets, times):
        learned = -np.expm1(-np.maximum(d, 0.0) * times[:, None])
        return u @ (learned[:, :, None] * (u.T @ targets))

    student_targets = LABEL_WEIGHT * y + (1 - LABEL_WEIGHT) * follow(y, np.array([TEACHER_TIME]))[0]
    return follow(y, TIMES), follow(student_targets, TIMES)


def by_integration(gram, y):
    """The differential equation, for the teacher and the student."""

    def follow(targets, times):
        def velocity(_, flat):
            return (gram @ (targets - flat.reshape(targets.shape))).ravel()

        span, settings = (0.0, times[-1]), {"method": "LSODA", "rtol": 1e-10, "atol": 1e-13}
        states = scipy.integrate.solve_ivp(velocity, span, np.zeros(targets.size), t_eval=times, **settings).y
        return states.T.reshape(-1, *targets.shape)

    student_targets = LABEL_WEIGHT * y + (1 - LABEL_WEIGHT) * follow(y, np.array([TEACHER_TIME]))[0]
    return follow(y, TIMES), follow(student_targets, TIMES)


def relative_error(ours, reference):
    """Largest difference at any time, relative to the largest reference value at that time."""
    pairs = zip(ours, reference, strict=False)  # the reference may hold a student that we were not asked for
    return max(float((np.abs(a - b).max(axis=(1, 2)) / np.abs(b).max(axis=(1, 2))).max()) for a, b in pairs)


@pytest.fixture(scope="module")
def references():
    """Teacher and student of all points by the formula, and of the first few by integration."""
    return by_eigh(K, Y), by_integration(*SMALL)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("models", [teacher, teacher_and_student])
def test_trajectories_beside_one_eigh(benchmark, references, models, threads):
    ours, theirs = [], []

    def one_eigh():
        theirs.append(seconds(scipy.linalg.eigh, K))

    def all_trajectories():
        ours.append(seconds(models))

    with threadpool_limits(threads):
        benchmark.pedantic(all_trajectories, setup=one_eigh, rounds=9, warmup_rounds=1)
    ours, theirs = ours[1:], theirs[1:]  # without the warm-up
    benchmark.extra_info |= {
        **SIZES,
        "blas_threads": threads,
        "peer": "one scipy.linalg.eigh",
        "peer_median_seconds": round(float(np.median(theirs)), 4),
        "ratio_to_peer": round(median_ratio(ours, theirs), 3),
        "relative_error": relative_error(models(), references[0]),
        "relative_error_to_solve_ivp_40_points": relative_error(models(*SMALL), references[1]),
    }


@pytest.fixture(scope="module")
def jax_and_neural_tangents():
    """Both modules in double precision, without the tensorflow that only `neural_tangents.experimental` needs."""
    sys.modules.setdefault("neural_tangents.experimental", types.ModuleType("neural_tangents.experimental"))
    neural_tangents = pytest.importorskip("neural_tangents")
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax, neural_tangents


@pytest.mark.parametrize("threads", [1, 2])
def test_teacher_beside_neural_tangents(benchmark, jax_and_neural_tangents, threads):
    jax, neural_tangents = jax_and_neural_tangents
    gram, y, times = (jax.device_put(array) for array in (K, Y, TIMES))

    def prediction():
        return neural_tangents.predict.gradient_descent_mse(gram, y, learning_rate=y.size, trace_axes=(-1,))

    lazy, known, compiled = Spectrum.from_gram(K), prediction(), jax.jit(prediction())
    known_spectrum = Spectrum(lazy.eigenvalues, lazy.eigenvectors)  # multiplied out, as those of neural-tangents are
    usages = {
        "kdtheory": teacher,
        "neural-tangents": lambda: prediction()(times).block_until_ready(),
        "neural-tangents, jit": lambda: jax.jit(prediction())(times).block_until_ready(),
        "kdtheory, decomposition at hand": lambda: teacher(known_spectrum),
        "neural-tangents, decomposition at hand": lambda: known(times).block_until_ready(),
        "neural-tangents, decomposition at hand, jit": lambda: compiled(times).block_until_ready(),
    }
    measured = {name: [] for name in usages}

    def in_turns():
        for name, run in usages.items():
            measured[name].append(seconds(run))

    with threadpool_limits(threads):
        benchmark.pedantic(in_turns, rounds=7, warmup_rounds=1)
    measured = {name: values[1:] for name, values in measured.items()}  # without the warm-up
    medians = {name: round(float(np.median(values)), 4) for name, values in measured.items()}
    later = min((name for name in usages if name.startswith("neural-tangents, decomposition")), key=medians.get)
    benchmark.extra_info |= {
        **SIZES,
        "blas_threads": threads,
        "peer": f"neural-tangents {neural_tangents.__version__} on jax {jax.__version__}",
        "median_seconds_of": medians,
        "times_faster": round(median_ratio(measured["neural-tangents"], measured["kdtheory"]), 2),
        "times_faster_decomposition_at_hand": round(
            median_ratio(measured[later], measured["kdtheory, decomposition at hand"]), 2
        ),
        "relative_difference": relative_error(teacher(), (np.asarray(known(times)),)),
    }
    assert benchmark.extra_info["relative_difference"] <= 1e-6
