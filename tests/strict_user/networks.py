"""A user's project in strict typing, with networks."""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

from kdtheory.fidelity import reliability_diagram
from kdtheory.figures import draw_logit_logit, draw_reliability, draw_shrinkage
from kdtheory.nets import (
    DistillationLoss,
    EmpiricalNTK,
    Ensemble,
    LossHessian,
    MultilayerPerceptron,
    Snapshot,
    TrainingPlan,
    distill,
    forecast,
    functional,
    hessian_trace,
    load_network,
    loss_surface,
    random_plane,
    save_network,
    self_distill,
    top_eigenvalues,
    train,
)


def make(round_: int) -> MultilayerPerceptron:
    return MultilayerPerceptron(2, 2, width=4, depth=1, key=jax.random.key(round_))


def main(folder: Path) -> None:
    X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    y = np.array([0, 1, 1, 0])
    plan = TrainingPlan(n_epochs=3, learning_rate=0.1, batch_size=2)
    run = train(make(0), X, y, plan=plan)
    logits = run.logits(X)
    last: float = len(run.history) + float(np.sum(logits))
    pair = distill(run, make(1), X, y, plan=plan, loss=DistillationLoss(temperature=2.0))
    rounds = self_distill(make, X, y, plan=plan, n_rounds=2)
    teacher: Snapshot = pair.teacher
    ensemble = Ensemble([teacher, pair.student])
    save_network(folder / "one.safetensors", run.model)
    again = load_network(folder / "one.safetensors", run.model)
    hessian = LossHessian(again, X, y)
    largest = top_eigenvalues(hessian, 1)
    trace = hessian_trace(hessian, rtol=0.5)
    low, high = trace.interval()
    surface = loss_surface(random_plane(run, 0), X, y, across=[0.0, 1.0], up=[0.0])
    f, params = functional(make(0))
    kernel = EmpiricalNTK(f, params)
    gram = kernel.gram(X.astype("float32"))
    figure = Figure()
    axes = figure.add_subplot()
    draw_reliability(axes, reliability_diagram(logits, y))
    print(last, rounds.table.shape, ensemble.logits(X).shape, largest.values, low <= high, surface.losses, gram.shape)
    print(forecast, draw_logit_logit, draw_shrinkage, hessian.n_parameters)
