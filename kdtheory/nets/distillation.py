"""Teachers and students in one call: a distillation, and self-distillation for many rounds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import numpy as np
import pandas as pd

from kdtheory._validation import require_positive_integer
from kdtheory.label_weights import estimate_label_weight
from kdtheory.nets import _training_data
from kdtheory.nets._training_data import LabelWeight
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.plan import TrainingPlan
from kdtheory.nets.training import Snapshot, TrainingRun, train

PathLike = str | os.PathLike[str]
Make = Callable[[int], Any]


@dataclass(frozen=True)
class Distillation:
    """Teachers and students in their order; made by `distill` and `self_distill`.

    Attributes
    ----------
    rounds : tuple of Snapshot
        Trained networks: the first on the labels, each later one with the one before as its teacher. They are
        `TrainingRun` but for a teacher that came trained.
    label_weights : tuple of float or callable
        Of rounds 2, 3, ..., as they were used.
    n_fits : int
        Trainings that this took.
    loss : DistillationLoss
        By which all of them were trained.
    table : DataFrame
        A row for every round: `round` from 1; `label_weight` in its last epoch; `estimated_label_weight` before it was
        clipped to [0, 1], if it was estimated; `n_fits` and `seconds` of the round; on the training points
        `train_accuracy`, and `agreement` of its top class with its teacher's; on validation points `val_accuracy`, and
        `val_error`, the mean of `‖prediction − target‖²`, where predictions are probabilities if the loss is a
        cross-entropy. Columns of classes are left out for one output.
    """

    rounds: tuple[Snapshot, ...]
    label_weights: tuple[LabelWeight, ...]
    n_fits: int
    loss: DistillationLoss
    table: pd.DataFrame

    def __repr__(self) -> str:
        teacher, student = (type(each.model).__name__ for each in (self.teacher, self.student))
        return (
            f"Distillation(n_rounds={len(self.rounds)}, n_fits={self.n_fits}, teacher={teacher}, student={student},"
            f" loss={self.loss.kind!r})"
        )

    @property
    def teacher(self) -> Snapshot:
        """The first network."""
        return self.rounds[0]

    @property
    def student(self) -> Snapshot:
        """The last network."""
        return self.rounds[-1]

    @property
    def seconds(self) -> float:
        """Time of all trainings."""
        return float(self.table["seconds"].sum())


def distill(
    teacher: Any,
    student: Any,
    X: Any,
    y: Any,
    *,
    plan: TrainingPlan,
    teacher_plan: TrainingPlan | None = None,
    teacher_epoch: int | None = None,
    loss: DistillationLoss | None = None,
    label_weight: LabelWeight = 0.0,
    teacher_state: Any = None,
    student_state: Any = None,
    validation: tuple[Any, Any] | None = None,
    folder: PathLike | None = None,
    progress: bool = False,
) -> Distillation:
    """Train a teacher on labels, and a student on what the teacher says.

    Parameters
    ----------
    teacher : equinox module, or Snapshot
        Network to be trained; or one that is already, such as the result of `train` or of an earlier distillation.
    student : equinox module
        Of the same architecture or another, with the same weights or others.
    X : array of shape (n, ...)
    y : array of shape (n,) of int, or (n, k)
        As for `train`.
    plan : TrainingPlan
        Of the student, which may take longer than its teacher.
    teacher_plan : TrainingPlan, optional
        Default: `plan`.
    teacher_epoch : int, optional
        Epoch of its plan at which the teacher is taken: early in it, or by default at its end.
    loss : DistillationLoss, optional
        Default: cross-entropy at temperature 1.
    label_weight : float or callable, default 0.0
        Weight of the labels, or a function of the step, as for `train`: `optax.linear_schedule(0.0, 1.0, window,
        begin)` switches from the teacher to the labels, and with 1.0 and 0.0 from the labels to the teacher.
    teacher_state, student_state : pytree, optional
        Of networks that have one.
    validation : (X_val, y_val), optional
        Points and labels for the table.
    folder : path, optional
        Is made if it is missing, and holds a checkpoint of each training; what is there already is not repeated.
    progress : bool, default False
        Show a bar for each training on standard error.

    Returns
    -------
    Distillation

    Raises
    ------
    ValueError, TypeError, FloatingPointError, OSError
        As `train` does; and for a plan of a teacher that is already trained.

    See Also
    --------
    train : one training, with logs and observations.
    kdtheory.Distilled : teacher and student as filters of one spectrum.

    Notes
    -----
    Source: Hinton, Vinyals & Dean (2015), "Distilling the knowledge in a neural network"; the loss is
    `DistillationLoss`.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> X, y = np.array([[0.0], [1.0]]), np.array([0, 1])
    >>> wide, narrow = (MultilayerPerceptron(1, 2, width=width, key=jax.random.key(0)) for width in (32, 8))
    >>> found = distill(wide, narrow, X, y, plan=TrainingPlan(n_epochs=100, learning_rate=0.3))
    >>> found.table[["round", "label_weight", "agreement"]].to_numpy().tolist()
    [[1.0, 1.0, nan], [2.0, 0.0, 1.0]]
    """
    _training_data.require_plan(plan)
    chain = _Chain(X, y, loss, validation, folder, progress)
    trained = isinstance(teacher, Snapshot)
    models = ((teacher.model, teacher.state) if trained else (teacher, teacher_state), (student, student_state))
    chain.require_fit(*models, plan, label_weight)
    if trained:
        for name, value in (("teacher_plan", teacher_plan), ("teacher_epoch", teacher_epoch)):
            if value is not None:
                raise ValueError(f"{name} must be left out for a teacher that is already trained, got {value!r}")
        chain.prepare(student, student_state)
        chain.add(teacher, [])
    else:
        first = chain.fit("teacher", teacher, teacher_state, teacher_plan or plan, until=teacher_epoch)
        chain.add(first, [first])
    run = chain.fit("student", student, student_state, plan, teacher=chain.rounds[0], label_weight=label_weight)
    chain.add(run, [run])
    return chain.result([label_weight])


def self_distill(
    make: Make,
    X: Any,
    y: Any,
    *,
    n_rounds: int,
    plan: TrainingPlan,
    loss: DistillationLoss | None = None,
    label_weight: LabelWeight | Sequence[LabelWeight] | Literal["estimated"] = 0.0,
    validation: tuple[Any, Any] | None = None,
    folder: PathLike | None = None,
    progress: bool = False,
) -> Distillation:
    """Train a network on labels, and then again and again with the last one as a teacher.

    Parameters
    ----------
    make : callable
        `make(i)` gives the network that round i = 1, 2, ... starts from, or the network and its state: always the
        same, other weights, or another architecture.
    X : array of shape (n, ...)
    y : array of shape (n,) of int, or (n, k)
        As for `train`.
    n_rounds : int
        Trained networks, the first teacher among them.
    plan : TrainingPlan
        Of every round; the seed of round i is that of the plan plus i - 1.
    loss : DistillationLoss, optional
        Default: cross-entropy at temperature 1.
    label_weight : float, callable, sequence of these, or "estimated", default 0.0
        Weight of the labels in rounds 2, 3, ...: one number; a function of the step, as for `train`; one of these for
        each round, `n_rounds - 1` in all; or the one that is best on validation data, if networks were linear.
    validation : (X_val, y_val), optional
        Points and labels for the table and for "estimated".
    folder : path, optional
        Is made if it is missing, and holds a checkpoint of each training; what is there already is not repeated.
    progress : bool, default False
        Show a bar for each training on standard error.

    Returns
    -------
    Distillation

    Raises
    ------
    ValueError, TypeError, FloatingPointError, OSError
        As `train` does; for another number of label weights than `n_rounds - 1`, and for "estimated" without
        validation data.

    Warns
    -----
    LabelWeightWarning
        When an estimated weight makes no difference; it is then 1.

    See Also
    --------
    kdtheory.selfdistill_closed_form : every round at once, where the network is a kernel machine.
    kdtheory.greedy_label_weights : the same estimate for kernels, where it is exact.

    Notes
    -----
    "estimated" is Algorithm 1 of Borup & Andersen (2021) as their section 5 adapts it: every round trains a student
    with label weight 0, finds the weight in closed form from its validation predictions and those of round 1 in the
    Frobenius norm, and trains with that weight, clipped to [0, 1]. This takes `2·(n_rounds − 1) + 1` fits; a search
    over g fixed weights takes `g·(n_rounds − 1) + 1`. The labels are the ground truth in every round, also where
    equation (18) prints the first network's outputs.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import RandomFeatures
    >>> X, y = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([[0.0], [1.0], [1.5]])
    >>> found = self_distill(
    ...     lambda i: RandomFeatures(2, 1, n_features=40, key=jax.random.key(0)), X, y, n_rounds=3,
    ...     plan=TrainingPlan(n_epochs=20, learning_rate=0.3), loss=DistillationLoss("squared"),
    ...     label_weight="estimated", validation=(X, 0.1 * y)
    ... )
    >>> found.n_fits
    5
    >>> found.table["val_error"].is_monotonic_decreasing
    True
    """
    rounds = require_positive_integer("n_rounds", n_rounds)
    _training_data.require_plan(plan)
    if isinstance(make, eqx.Module) or not callable(make):
        raise TypeError(f"make must be a function of a round's number, got {type(make).__name__}: lambda i: network")
    weights = _training_data.require_weights_of_rounds(label_weight, rounds, schedules=True)
    if weights is None and validation is None:
        raise ValueError("validation must be given for the label weight 'estimated', got None")
    chain = _Chain(X, y, loss, validation, folder, progress)
    used: list[LabelWeight] = []
    for i in range(1, rounds + 1):
        made = make(i)
        model, state = made if isinstance(made, tuple) else (made, None)
        fit = partial(chain.fit, model=model, state=state, plan=replace(plan, seed=plan.seed + i - 1))
        if i == 1:
            chain.require_label_weights(model, plan, *(weights or ()))
            first = fit("round-1")
            chain.add(first, [first], **({"estimated_label_weight": np.nan} if weights is None else {}))
            continue
        student = partial(fit, teacher=chain.rounds[-1])
        if weights is not None:
            used.append(weights[i - 2])
            run = student(f"round-{i}", label_weight=used[-1])
            chain.add(run, [run])
        else:
            pure = student(f"round-{i}-pure", label_weight=0.0)
            estimated = chain.estimate(pure)
            used.append(min(max(estimated, 0.0), 1.0))
            run = student(f"round-{i}", label_weight=used[-1])
            chain.add(run, [pure, run], estimated_label_weight=estimated)
    return chain.result(used)


class _Chain:
    """Networks trained one after the other on the same points, and the table of them."""

    def __init__(
        self,
        X: Any,
        y: Any,
        loss: DistillationLoss | None,
        validation: tuple[Any, Any] | None,
        folder: PathLike | None,
        progress: bool,
    ) -> None:
        self.rounds: list[Snapshot] = []
        self._rows: list[dict[str, Any]] = []
        self._X, self._y, self._progress = X, y, progress
        self._loss = _training_data.require_loss(loss)
        self._validation = None if validation is None else _training_data.require_validation(validation)
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def require_fit(
        self, teacher: tuple[Any, Any], student: tuple[Any, Any], plan: TrainingPlan, label_weight: LabelWeight
    ) -> None:
        """Refuse a student that could not learn from its teacher, before the teacher is trained."""
        sizes = []
        for model, state in (teacher, student):
            points = _training_data.require_points(self._X, _training_data.trained_dtype(model))
            sizes.append(_training_data.count_outputs(model, points, state))
        if sizes[0] != sizes[1]:
            raise ValueError(f"teacher must have as many logits as the student, {sizes[1]}, got {sizes[0]}")
        _training_data.require_label_weights(label_weight, True, plan.n_steps(len(points)))

    def require_label_weights(self, model: Any, plan: TrainingPlan, *label_weights: LabelWeight) -> None:
        """Refuse what is no label weight in some step of a later round, before the first is trained."""
        points = _training_data.require_points(self._X, _training_data.trained_dtype(model))
        schedules = {id(each): each for each in label_weights if callable(each)}
        for each in schedules.values():
            _training_data.require_label_weights(each, True, plan.n_steps(len(points)))

    def fit(self, name: str, model: Any, state: Any, plan: TrainingPlan, **how: Any) -> TrainingRun:
        """Train a network, or read it from the folder."""
        self.prepare(model, state)
        checkpoint = None if self._folder is None else self._folder / f"{name}.safetensors"
        return train(
            model,
            self._X,
            self._y,
            plan=plan,
            loss=self._loss,
            state=state,
            checkpoint=checkpoint,
            progress=self._progress,
            **how,
        )

    def estimate(self, pure_student: Snapshot) -> float:
        """Label weight that is best for the validation points."""
        first, pure = (self._loss.predictions(run.logits(self._X_val)) for run in (self.rounds[0], pure_student))
        return estimate_label_weight(np.asarray(first), np.asarray(pure), self._targets)

    def add(self, run: Snapshot, fits: Sequence[TrainingRun], **more: float) -> None:
        """Take a network as the last round."""
        logits = run.logits(self._X)
        row: dict[str, Any] = {"round": len(self.rounds) + 1, "label_weight": np.nan}
        if fits:
            row["label_weight"] = fits[-1].history["label_weight"].iloc[-1]
        row.update(more)
        row["n_fits"] = len(fits)
        row["seconds"] = float(sum(fit.history["seconds"].sum() for fit in fits))
        if logits.shape[1] > 1:
            before = self.rounds[-1].logits(self._X) if self.rounds else None
            if self._y is not None:
                classes = np.asarray(self._y) if np.ndim(self._y) == 1 else np.argmax(self._y, axis=1)
                row["train_accuracy"] = _agreement(logits, classes)
            row["agreement"] = np.nan if before is None else _agreement(logits, before.argmax(axis=1))
        if self._validation is not None:
            predicted = np.asarray(self._loss.predictions(run.logits(self._X_val)))
            if logits.shape[1] > 1:
                row["val_accuracy"] = _agreement(predicted, self._targets.argmax(axis=1))
            row["val_error"] = float(np.mean(np.sum((predicted - self._targets) ** 2, axis=1)))
        self.rounds.append(run)
        self._rows.append(row)

    def result(self, label_weights: Sequence[LabelWeight]) -> Distillation:
        """Give what was done."""
        table = pd.DataFrame(self._rows)
        return Distillation(tuple(self.rounds), tuple(label_weights), int(table["n_fits"].sum()), self._loss, table)

    def prepare(self, model: Any, state: Any) -> None:
        """Check the validation data for a network."""
        if self._validation is None:
            return
        dtype = _training_data.trained_dtype(model)
        X_val, y_val = self._validation
        self._X_val = _training_data.require_points(X_val, dtype, name="validation")
        n_outputs = _training_data.count_outputs(model, self._X_val, state)
        self._targets = _training_data.require_targets(
            y_val, len(self._X_val), n_outputs, self._loss, dtype, name="validation"
        )


def _agreement(logits: np.ndarray, classes: np.ndarray) -> float:
    return float(np.mean(logits.argmax(axis=1) == classes))
