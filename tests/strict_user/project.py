"""A user's project in strict typing: what it gets from kdtheory has a type, or is an array of any library."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import kdtheory as kd
from kdtheory import (
    ConstantWeights,
    Distilled,
    Filter,
    GradientDescent,
    GradientFlow,
    Modes,
    MonotoneWeights,
    Ridge,
    SelfDistillation,
    SelfDistillationPath,
    Spectrum,
)
from kdtheory.corruptions import corrupt
from kdtheory.eigenspace import data_directions
from kdtheory.estimators import GradientFlowRegressor, Nystrom, SelfDistilledKernelRidge, SelfDistilledKernelRidgeCV
from kdtheory.fidelity import dissect, exaggeration_slope, reliability_diagram, share_interval, top1_agreement
from kdtheory.filters import flow
from kdtheory.kernels import NTK, RBF, ConvolutionalNTK, GramOperator, Kernel, Matern
from kdtheory.problems import GaussianClasses, sine_problem
from kdtheory.ranking import LinearRanker, OneHotTargets, train_ranker
from kdtheory.report import Report, report
from kdtheory.retrieval import LabelledRows, labels_from_classes
from kdtheory.robustness import effective_robustness
from kdtheory.spectrum import as_spectrum

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CutOff(Filter):
    """A filter of the user's own."""

    smallest: float

    def modes(self, eigenvalues: Floats, /) -> Modes:
        kept = (eigenvalues >= self.smallest).astype(float)
        return Modes(kept / np.maximum(eigenvalues, self.smallest), kept, 1.0 - kept)


@dataclass(frozen=True)
class Setting:
    """What the user wants to know."""

    ridge: float = 0.2
    n_steps: int = 4
    label_weight: float = 0.25

    def path(self, spectrum: Spectrum, y: Floats) -> SelfDistillationPath:
        return kd.selfdistill_closed_form(
            spectrum, y, ridge=self.ridge, n_steps=self.n_steps, label_weight=self.label_weight
        )


def front_door(setting: Setting) -> dict[str, float]:
    problem = sine_problem()
    spectrum = Spectrum.from_gram(problem.K)
    path = setting.path(spectrum, problem.y)
    limit = path.limit
    weights: Floats = kd.greedy_label_weights(
        spectrum, problem.y, ridge=0.2, n_steps=3, K_val=problem.K_val, y_val=problem.y_val
    )
    grid = kd.selfdistill_grid(spectrum, problem.y, ridges=[0.1, 1.0], label_weights=[0.0, 0.5], n_steps=2)
    search = kd.search_selfdistillation(
        problem.K, problem.y, ridges=np.geomspace(1e-2, 1.0, 3), n_steps=3, label_weights=MonotoneWeights()
    )
    constant = kd.search_selfdistillation(
        problem.K, problem.y, ridges=[0.1], n_steps=2, label_weights=ConstantWeights([0.25])
    )
    gain, error = search.gain_over(constant.held_out_predictions)
    return {
        "steps": path.n_steps,
        "limit": float(np.linalg.norm(limit.fitted)),
        "loss": float(np.min(problem.losses(path.predict(problem.K_val)))),
        "weight": float(weights[0]),
        "grid": float(grid.fitted.sum()),
        "ridge": search.best_ridge,
        "gain": gain,
        "error": error,
        "dof": float(path.effective_dof[-1]),
    }


def filters(spectrum: Spectrum, y: Floats) -> list[tuple[str, float]]:
    models: list[Filter] = [
        Ridge(0.5),
        GradientFlow(time=2.0),
        GradientDescent(learning_rate=0.01, n_iterations=10, momentum=0.5),
        SelfDistillation(0.5, n_steps=3, label_weight=0.25),
        Distilled(teacher=Ridge(0.5), student=CutOff(0.1), label_weight=0.5),
        CutOff(0.1),
    ]
    fits = kd.fit_filter(spectrum, y, models)
    risk = kd.in_sample_risk(spectrum, y, models, noise_variance=0.1)
    oracle = kd.wiener_filter(spectrum, y, noise_variance=0.1)
    assert flow(spectrum.eigenvalues, 1.0, 0.0).modes.shrinkage.shape == spectrum.eigenvalues.shape
    assert fits.components.shape == (len(models), len(spectrum.eigenvalues))
    assert bool(np.all(risk.total >= oracle.floor - 1e-9))
    return [(type(model).__name__, float(total)) for model, total in zip(models, risk.total, strict=True)]


def trajectories(spectrum: Spectrum, y: Floats) -> float:
    run = kd.flow_trajectories(spectrum, y, times=np.linspace(0.0, 5.0, 6), teacher_time=2.0)
    time = kd.matched_student_time(2.0, 1.0, 2.0)
    outlook = kd.can_distillation_help(spectrum, y, ridge=0.2, noise_variance=0.1, n_bootstrap=2)
    fits = [fit.gain for fit in outlook.best_fits]
    return float(run.student.fitted[-1].sum()) + float(time) + outlook.risk + outlook.standard_errors.risk + sum(fits)


def large(kernel: Kernel, X: Floats, y: Floats) -> float:
    operator = kernel.operator(X)
    assert isinstance(operator, GramOperator)
    n, m = operator.shape
    product = operator @ y
    solution = kd.solve_ridge(operator, y, ridge=1.0)
    approximate = Spectrum.nystrom(kernel, X, n_components=5)
    krylov = Spectrum.lanczos(operator, y, 10)
    cross = approximate.cross(X[:2])
    fitted = kd.fit_filter(approximate, y, Ridge(1.0)).predict(cross)
    return n + m + float(product.sum() + solution.fitted.sum() + fitted.sum()) + krylov.rank + approximate.trace_error


def estimators(X: Floats, y: Floats) -> dict[str, Any]:
    model = SelfDistilledKernelRidge(ridge=0.5, n_steps=3, kernel=RBF(gamma=0.5), solver=Nystrom(5)).fit(X, y)
    search = SelfDistilledKernelRidgeCV(ridges=[0.1, 1.0], n_steps=2, kernel=NTK(depth=2)).fit(X, y)
    flowing = GradientFlowRegressor(time=3.0).fit(X, y)
    score: float = model.score(X, y)
    return {
        "score": score,
        "same": flowing.predict(X).shape == y.shape,
        "gain": search.distillation_gain_ / max(search.distillation_gain_se_, 1e-12),
        "params": search.best_params_,
        "chosen": search.set_params(n_steps=3).get_params()["n_steps"],
    }


def logits(teacher: Floats, student: Floats, labels: npt.NDArray[np.int_], folder: Path) -> Report:
    groups = dissect(teacher, student, labels)
    diagram = reliability_diagram(student, labels)
    slope = exaggeration_slope(teacher, student)
    low, high = share_interval(top1_agreement(teacher, student), len(labels))
    page = report(teacher, student, labels, title="Strict")
    page.save(folder / "report.html")
    assert low <= high
    assert min(diagram.expected_error, slope.n_points, sum(groups.counts.values())) >= 0.0
    return page


def others() -> tuple[float, float, LinearRanker, int]:
    X, labels, probabilities = GaussianClasses(mean=0.5, n_features=3).sample(40, random_state=0)
    error = kd.teacher_error(kd.temper(probabilities, temperature=2.0), probabilities)
    smooth = kd.smooth_labels(labels, n_classes=2, amount=0.1)
    loss = kd.double_distillation_loss(smooth, probabilities, kd.negative_weights_from_probabilities(probabilities))
    line = effective_robustness(np.linspace(0.5, 0.9, 5), np.linspace(0.3, 0.8, 5))
    ranker = train_ranker(
        LabelledRows(X, labels_from_classes(labels, n_labels=2)), OneHotTargets(), width=2, penalty=0.1
    )
    darker = corrupt(np.zeros((2, 8, 8)), "brightness", 3, seed=0)
    directions = data_directions(X)
    kernel: Kernel = ConvolutionalNTK((2, 2, 1), depth=1)
    assert kernel.gram(np.ones((1, 4))).shape == as_spectrum(np.eye(1)).eigenvectors.shape
    return error.mean_squared_error + float(loss.mean()), line.slope, ranker, darker.size + len(directions.eigenvalues)


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    X: Floats = rng.normal(size=(20, 2))
    y: Floats = np.sin(X[:, 0])
    spectrum = as_spectrum(Matern(length_scale=1.0, nu=1.5).gram(X))
    teacher: Floats = rng.normal(size=(40, 3))
    labels = rng.integers(0, 3, 40)
    print(front_door(Setting()), filters(spectrum, y), trajectories(spectrum, y), large(RBF(gamma=1.0), X, y))
    print(estimators(X, y), logits(teacher, 1.5 * teacher, labels, folder).summary, others())
