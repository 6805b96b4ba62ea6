"""Train a network on labels, on a teacher, or on both; recorded, reproducible, and resumed where it was killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pandas as pd
from tqdm import tqdm

from kdtheory._validation import require_positive_integer
from kdtheory.nets import _steps, _training_data
from kdtheory.nets._record import Record
from kdtheory.nets._variants import keeps_label, require_variants
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.plan import TrainingPlan

_PREDICTED_AT_ONCE = 1024

Observe = Callable[["Snapshot"], Mapping[str, Any]]


@dataclass(frozen=True)
class Snapshot:
    """A network during its training.

    Attributes
    ----------
    model : equinox module
    state : pytree or None
        The network's own, if it has one.
    epoch : int
        Passes over the points so far.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> Snapshot(MultilayerPerceptron(2, 3, width=4, key=jax.random.key(0))).logits([[0.0, 1.0]]).shape
    (1, 3)
    """

    model: Any
    state: Any = None
    epoch: int = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, epoch={self.epoch})"

    def logits(self, X: Any) -> np.ndarray:
        """Logits of points, in batches.

        Parameters
        ----------
        X : array of shape (n, ...)

        Returns
        -------
        array of shape (n, k)

        Raises
        ------
        ValueError, TypeError
            For points that are not finite, or that the network does not take.
        """
        points = _training_data.require_points(X, _training_data.trained_dtype(self.model))
        try:
            blocks = [
                np.asarray(_steps.predict(self.model, points[start : start + _PREDICTED_AT_ONCE], self.state))
                for start in range(0, len(points), _PREDICTED_AT_ONCE)
            ]
        except (TypeError, ValueError):
            _training_data.count_outputs(self.model, points, self.state)  # names the argument, where it is to blame
            raise
        return np.concatenate(blocks)


@dataclass(frozen=True, repr=False)
class TrainingRun(Snapshot):
    """A trained network, and how it came about.

    Attributes
    ----------
    model, state, epoch
        As for `Snapshot`.
    history : DataFrame
        A row for every epoch: `epoch` (from 1), `loss` and, of two outputs or more, `accuracy` where there are labels,
        which mixtures and noise have not, and `agreement` with the teacher's top class, where there is a teacher, as
        they were while training on what augmentation made of the points; `learning_rate` and `label_weight` of its
        first step, `seconds` without those of what observes, and every number that was observed at its end.
    observed : dict of str to array
        Every array that was observed, stacked along a first axis of `n_epochs + 1`: at the start, and after each epoch;
        numbers too.
    """

    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    observed: dict[str, np.ndarray] = field(default_factory=dict)


def train(
    model: Any,
    X: Any,
    y: Any,
    *,
    plan: TrainingPlan,
    loss: DistillationLoss | None = None,
    teacher: Any = None,
    label_weight: _training_data.LabelWeight | None = None,
    state: Any = None,
    until: int | None = None,
    observe: Observe | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    log: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> TrainingRun:
    """Train a network.

    Parameters
    ----------
    model : equinox module
        `model(x)` gives the k logits of one point; with a state, `model(x, state)` gives them and the new state.
    X : array of shape (n, ...)
        Points.
    y : array of shape (n,) of int, or (n, k)
        Classes from 0 to k - 1, or targets: probabilities for the cross-entropy. None where there are no labels, and
        the teacher alone is learned from.
    plan : TrainingPlan
        Optimiser, learning rates, batches, seed.
    loss : DistillationLoss, optional
        Default: cross-entropy at temperature 1.
    teacher : array of shape (n, k), or Snapshot, optional
        Logits of the teacher at the points; or the teacher, for its logits at what augmentation makes of them.
    label_weight : float or callable, optional
        Weight α of the labels in [0, 1], the teacher's is 1 - α; or a function of the step that JAX can trace, such
        as `optax.linear_schedule(0.0, 1.0, window, begin)`, which switches from the teacher to the labels within a
        window of steps. Default: 0 with a teacher, 1 without.
    state : pytree, optional
        Of a network that has one; see `kdtheory.nets.ResNet`.
    until : int, optional
        Stop after this epoch of the plan, for an early teacher; a checkpoint can go on from there. Default: the last.
    observe : callable, optional
        Called with a `Snapshot` before the first epoch and after each; gives numbers and arrays by name.
    checkpoint : path, optional
        File that is replaced after every epoch, with all that was observed. If it is there already, the training goes
        on from it, and on the CPU ends with the same bits as if it had never stopped. `load_network` reads the network.
    log : path, optional
        File `.csv` or `.parquet` (needs pyarrow) with the history, replaced after every epoch.
    progress : bool, default False
        Show a bar on standard error.

    Returns
    -------
    TrainingRun

    Raises
    ------
    ValueError, TypeError
        For points or logits that are not finite, classes out of range, a teacher with another number of classes or,
        for the cross-entropy, with probabilities in place of logits, batches of more points than there are, weights
        outside [0, 1], a label weight below 1 without a teacher or above 0 without labels, an augmentation that
        changes the shape of points or leaves their range, and a checkpoint that is cut short, of another architecture,
        or of another plan or other data.
    FloatingPointError
        When the training diverges; the checkpoint keeps the last epoch that did not.

    Notes
    -----
    A step is compiled once for a network, a loss and a shape, whatever the weights, the plan's rates and seed, and the
    label weights; on a GPU, and wherever nothing convolves, a whole epoch is one compiled loop. Points are shuffled by
    the plan's seed and the number of the epoch, so nothing has to be remembered for a resumed run. Points and targets
    take the precision of the network: single, unless JAX has double precision switched on.

    The loss is a mean over the points of a step. So full batches with "squared" and a weight decay μ tend to kernel
    ridge regression with `ridge = n·μ`, where the network is linear in its weights.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> X, y = np.array([[0.0], [1.0]]), np.array([0, 1])
    >>> model = MultilayerPerceptron(1, 2, width=16, key=jax.random.key(0))
    >>> run = train(model, X, y, plan=TrainingPlan(n_epochs=50, learning_rate=0.3))
    >>> run.logits(X).argmax(axis=1).tolist()
    [0, 1]
    >>> student = train(model, X, y, plan=TrainingPlan(n_epochs=5), teacher=run.logits(X))
    >>> student.history.columns.tolist()
    ['epoch', 'loss', 'accuracy', 'agreement', 'learning_rate', 'label_weight', 'seconds']
    """
    loss = _training_data.require_loss(loss)
    _training_data.require_plan(plan)
    last_epoch = plan.n_epochs if until is None else require_positive_integer("until", until)
    if last_epoch > plan.n_epochs:
        raise ValueError(f"until must be <= n_epochs = {plan.n_epochs}, got {until}")
    dtype = _training_data.trained_dtype(model)
    points = _training_data.require_points(X, dtype)
    n_outputs = _training_data.count_outputs(model, points, state)
    labels = _training_data.require_labels_of(y, len(points), n_outputs, loss, dtype, teacher)
    if plan.augment is not None:
        require_variants(plan.augment, points, plan.seed)
    live = teacher if isinstance(teacher, Snapshot) else None
    wanted = labels
    if teacher is not None:
        logits = teacher if live is None else live.logits(points)
        wanted = _training_data.require_teacher_logits(logits, len(points), n_outputs, loss, dtype)
    weights = _training_data.require_label_weights(label_weight, teacher is not None, plan.n_steps(len(points)))
    _training_data.require_without_labels(weights, y, plan, lives=live is not None)
    has_labels = y is not None and keeps_label(plan.augment)
    asked = None if live is None or plan.augment is None else (live.model, live.state)
    made_from = {} if checkpoint is None else _training_data.fingerprints(
        model=(model, state), plan=plan, loss=loss, X=points, y=labels, teacher=(wanted, asked), label_weight=weights
    )  # fmt: skip
    fresh, rest = _steps.start(model, plan.gradient_transformation(), state)
    setting = _steps.Setting(
        rest,
        plan.gradient_transformation(),
        loss,
        plan.augment,
        asked,
        jax.random.key(plan.seed),
        *jax.device_put((points, labels, wanted)),
    )
    at_once = jax.default_backend() != "cpu" or not _steps.has_convolution(model, points, state)
    record = Record(made_from, _training_data.settings(plan=plan, loss=loss), rest, checkpoint, log)
    now = record.resume(fresh)
    if now is None:
        now = fresh
        record.start({} if observe is None else observe(_snapshot(now, rest, 0)), now)
    elif len(record.rows) > last_epoch:
        raise ValueError(f"until must be >= the {len(record.rows)} epochs of the checkpoint, got {until}")
    rates = plan.learning_rates(len(points))
    epochs = range(len(record.rows), last_epoch)
    with tqdm(epochs, disable=not progress, initial=epochs.start, total=last_epoch, unit="epoch") as bar:
        for epoch in bar:
            began = time.perf_counter()
            steps = _training_data.epoch_steps(plan, epoch, len(points), rates.astype(dtype), weights.astype(dtype))
            now, sums = _steps.run_epoch(now, setting, steps, at_once=at_once)
            mean_loss, accuracy, agreement = (float(value) for value in sums.sum(axis=0, dtype=float) / len(points))
            if not (np.isfinite(mean_loss) and _steps.is_finite(now.params)):
                raise FloatingPointError(
                    f"the loss must stay finite, got {mean_loss} in epoch {epoch + 1}: learning_rate ="
                    f" {plan.learning_rate} may be too large"
                )
            row = {
                "epoch": epoch + 1,
                "loss": mean_loss,
                **({"accuracy": accuracy} if n_outputs > 1 and has_labels else {}),
                **({"agreement": agreement} if n_outputs > 1 and teacher is not None else {}),
                "learning_rate": float(steps[0].learning_rate),
                "label_weight": float(steps[0].label_weight),
                "seconds": time.perf_counter() - began,
            }
            record.add(row, {} if observe is None else observe(_snapshot(now, rest, epoch + 1)), now)
            shown = [name for name in ("loss", "accuracy", "agreement") if name in row]
            bar.set_postfix({name: f"{row[name]:.3g}" for name in shown}, refresh=False)
    last = _snapshot(now, rest, last_epoch)
    observed = {name: np.stack(values) for name, values in record.observed.items()}
    return TrainingRun(last.model, last.state, last.epoch, pd.DataFrame(record.rows), observed)


def _snapshot(trained: _steps.Trained, rest: Any, epoch: int) -> Snapshot:
    return Snapshot(eqx.combine(trained.params, rest), trained.state, epoch)
