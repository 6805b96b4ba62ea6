"""What distilling a network will do, before it is trained: the closed form of its linearisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from kdtheory._validation import require_bool, require_positive_integer
from kdtheory.label_weights import estimate_label_weight
from kdtheory.nets import _training_data
from kdtheory.nets._linearised import LinearisedNetwork, Outputs, Rounds, require_linear
from kdtheory.nets.distillation import Distillation
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.models import same_architecture
from kdtheory.nets.plan import TrainingPlan
from kdtheory.nets.training import Snapshot

_SQUARED = DistillationLoss("squared")

_NO_GAIN = 1e-6
"""A gain that is a smaller share of the teacher's error has no sign."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """Teacher and students as they would come out if the network were linear; made by `forecast`.

    Attributes
    ----------
    train_predictions : array of shape (n_rounds, n, k)
        Outputs of every round at the points for training.
    val_predictions : array of shape (n_rounds, m, k) or None
        At validation points, if there are any.
    label_weights : tuple of float
        Of rounds 2, 3, ..., as they were used.
    table : DataFrame
        A row for every round: `round` from 1 and its `label_weight`; `best_label_weight`, the best one on validation
        points for a student of the round before, any real number. On the points for training and on validation points,
        with `train_` and `val_` before them: `error`, the mean of `‖prediction − target‖²`; `accuracy`, the share of
        right top classes or, for one output and targets of ±1, right signs; `agreement`, the share of predictions
        whose top class, or sign of one output, is its teacher's. Last `gain`, by how much the validation error is
        below its teacher's (negative: harm), and `gain_standard_error` over the validation points, which are paired.
    """

    train_predictions: np.ndarray = field(repr=False)
    val_predictions: np.ndarray | None = field(repr=False)
    label_weights: tuple[float, ...]
    table: pd.DataFrame = field(repr=False)
    _points: tuple[_Points, ...] = field(repr=False)

    def compare(self, distillation: Distillation) -> pd.DataFrame:
        """Put networks that were trained beside the forecast.

        Parameters
        ----------
        distillation : Distillation
            Of as many rounds, by `self_distill` or `distill`, on the same points. Its predictions are logits if it was
            trained by the squared loss, and else probabilities.

        Returns
        -------
        DataFrame
            A row for every round: the columns of `table`, each with `_forecast` and with `_trained` after its name (but
            for the best label weight, which is only forecast). Then, for the points of both kinds, `train_distance` and
            `val_distance`, the Frobenius norm of trained less forecast predictions over that of the trained ones, and
            `train_match` and `val_match`, the share of predictions with the same top class, or sign of one output. Last
            `gain_sign_right`, whether the sign of the gain is the one that was forecast; missing for round 1. A gain
            below a millionth of the teacher's error has no sign, as that of a student with label weight 1.

        Raises
        ------
        TypeError, ValueError
            For what is not a distillation, one of another number of rounds, and networks of other shapes.
        """
        if not isinstance(distillation, Distillation):
            raise TypeError(f"distillation must be a Distillation, got {type(distillation).__name__}")
        if len(distillation.rounds) != len(self.train_predictions):
            raise ValueError(
                f"distillation must have {len(self.train_predictions)} rounds, those of the forecast, got"
                f" {len(distillation.rounds)}"
            )
        trained = [_trained(distillation.rounds, points, distillation.loss) for points in self._points]
        forecast = [self.train_predictions, *([] if self.val_predictions is None else [self.val_predictions])]
        found = _measured(self._points, trained)
        found.insert(0, "label_weight", distillation.table["label_weight"].to_numpy(float))
        table = pd.DataFrame({"round": self.table["round"]})
        for name in self.table.columns[1:]:
            table[f"{name}_forecast"] = self.table[name]
            if name in found:
                table[f"{name}_trained"] = found[name]
        for points, one, other in zip(self._points, forecast, trained, strict=True):
            norms = np.linalg.norm(other, axis=(1, 2))
            table[f"{points.name}_distance"] = np.linalg.norm(other - one, axis=(1, 2)) / np.where(norms, norms, 1.0)
            table[f"{points.name}_match"] = np.mean(_answers(one) == _answers(other), axis=1)
        if "gain" in self.table:
            right = _gain_signs(found) == _gain_signs(self.table)
            table["gain_sign_right"] = right.astype("boolean").mask(table["round"] == 1)
        return table


def forecast(
    model: Any,
    X: Any,
    y: Any,
    *,
    plan: TrainingPlan,
    n_rounds: int = 2,
    label_weight: float | Sequence[float] | Literal["estimated"] = "estimated",
    validation: tuple[Any, Any] | None = None,
    tangent: Any = None,
    joint: bool = True,
    max_bytes: int = 2**28,
) -> Forecast:
    """Forecast what self-distillation does to a network, without training it.

    Parameters
    ----------
    model : equinox module, or Snapshot
        Where the training of every round begins: as it is given, or a trained one as it came out of `train`.
    X : array of shape (n, ...)
    y : array of shape (n,) of int, or (n, k)
        As for `train`.
    plan : TrainingPlan
        Of every round, as for `self_distill`: optimiser "sgd", with whatever rates, momentum, batches and weight decay.
    n_rounds : int, default 2
        The first teacher among them.
    label_weight : float, sequence of float, or "estimated", default "estimated"
        Weight of the labels in rounds 2, 3, ..., in [0, 1]: one number; one for each round, `n_rounds - 1` in all; or
        the best one on validation points, clipped to [0, 1].
    validation : (X_val, y_val), optional
        Points and targets for errors, gains and best label weights: two at least.
    tangent : equinox module, or Snapshot, optional
        Of the same architecture, such as the result of `train`: its tangent kernel is taken in place of the network's
        own. Training still begins from the outputs and parameters of `model`.
    joint : bool, default True
        Whether the kernel tells the outputs apart. If not, each of them has the mean of their kernels, which a wide
        network approaches: k² times less memory, k³ times less work.
    max_bytes : int, default 2**28
        Most bytes of work space for the kernel, besides the kernel itself.

    Returns
    -------
    Forecast

    Raises
    ------
    ValueError, TypeError
        As `train` and `self_distill` do; for plans by another optimiser, with clipped gradients or with augmentation;
        for a learning rate that is not stable for the tangent kernel (the message names one that is); for a network
        with a state, and a `tangent` of another architecture.
    OverflowError
        When a forecast is beyond the floating-point range.

    Warns
    -----
    LabelWeightWarning
        When a label weight makes no difference; the best one is then 1.

    See Also
    --------
    self_distill : trains the networks, with the same arguments; `Forecast.compare` takes its result.
    kdtheory.selfdistill_closed_form : the same for kernel ridge regression.

    Notes
    -----
    The network is taken to be linear in its parameters, `f(x) = f₀(x) + J(x)·(θ − θ₀)`, and its loss to be
    `DistillationLoss("squared")`. Then every step of the plan is linear in the outputs, in the n·k eigendirections of
    the tangent kernel `K = J Jᵀ` each for itself, and a round from `f₀` on the targets t gives `f₀ + K q(K) (t − f₀)`
    with the filter q of the plan; a student composes it with its teacher's. Weight decay pulls the parameters to zero,
    not to where they began, and adds the same kind of term for `J θ₀`.

    It is exact for a network that is linear in its parameters and full batches. With smaller batches it is the mean
    over batches that are drawn independently; each network is off that by the noise of its own. Other networks move
    their tangent kernel as they are trained, the less the wider they are. The labels are the ground truth in every
    round, and every round begins from the same network: where rounds begin from weights of their own, students differ
    from their teachers by that as well. The kernel of a trained network has seen the labels: of networks of width 512
    on noisy digits it forecast the gains better, but of narrow ones the predictions worse. So compare both.

    Cost: one tangent kernel and one eigendecomposition for all rounds and label weights, `O((n·k)³)` with a few
    matrices of (n·k)² doubles; `O(n·k)` for every step of the plan.

    Source: Borup & Andersen (2021), section 5 and appendix D; Lee et al. (2019), "Wide neural networks of any depth
    evolve as linear models under gradient descent".

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import RandomFeatures, self_distill
    >>> X, y = np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]), np.array([[0.0], [1.0], [1.5]])
    >>> network = RandomFeatures(2, 1, n_features=40, key=jax.random.key(0))
    >>> settings = {"plan": TrainingPlan(n_epochs=20, learning_rate=0.3), "n_rounds": 3, "label_weight": 0.5}
    >>> expected = forecast(network, X, y, **settings, validation=(X + 0.1, 0.9 * y))
    >>> trained = self_distill(lambda i: network, X, y, **settings, loss=DistillationLoss("squared"))
    >>> found = expected.compare(trained)
    >>> bool((found["val_distance"] < 1e-5).all()), found["gain_sign_right"].tolist()
    (True, [<NA>, True, True])
    """
    rounds = require_positive_integer("n_rounds", n_rounds)
    weights = _training_data.require_weights_of_rounds(label_weight, rounds, schedules=False)
    if weights is None and validation is None:
        raise ValueError("validation must be given for the label weight 'estimated', got None")
    require_linear(plan)
    model, at = _require_stateless("model", model), _require_stateless("tangent", tangent)
    dtype = _training_data.trained_dtype(model)
    if at is not None and not callable(at):
        raise TypeError(f"tangent must be a function of one point, got {at!r}")
    if at is not None and not same_architecture(model, at):
        raise ValueError(
            f"tangent must have the architecture of the model, got a {type(at).__name__} with other trainable arrays"
        )
    points = [_Points.of("train", "X", "y", X, y, model, dtype)]
    if validation is not None:
        X_val, y_val = _training_data.require_validation(validation)
        points.append(_Points.of("val", "validation", "validation", X_val, y_val, model, dtype))
        if len(points[1].X) < 2:
            raise ValueError("validation must hold at least 2 points, for standard errors, got 1")
    linear = LinearisedNetwork(
        model, model if at is None else at, require_bool("joint", joint), bool(plan.weight_decay), max_bytes
    )
    chain = Rounds(plan, linear.outputs(points[0].X), points[0].targets, joint=joint)
    held_out = None if validation is None else linear.outputs(points[1].X, points[0].X)
    first = None if held_out is None else chain.predict(held_out)[0]
    best, used = [np.nan], [1.0]
    for i in range(rounds - 1):
        if held_out is not None and first is not None:
            best.append(_estimated_label_weight(chain, held_out, points[1].targets - first))
        used.append(min(max(best[-1], 0.0), 1.0) if weights is None else weights[i])
        chain.add(used[-1])
    predicted = [chain.fitted(), *([] if held_out is None else [chain.predict(held_out)])]
    table = _measured(points, predicted)
    table.insert(0, "round", np.arange(1, rounds + 1))
    table.insert(1, "label_weight", used)
    if held_out is not None:
        table.insert(2, "best_label_weight", best)
    return Forecast(
        predicted[0], None if held_out is None else predicted[1], tuple(used[1:]), table, _points=tuple(points)
    )


def _require_stateless(name: str, network: Any) -> Any:
    """Give the network itself, of what may be a snapshot of one."""
    if not isinstance(network, Snapshot):
        return network
    if network.state is not None:
        raise ValueError(
            f"{name} must have no state, since outputs may depend on their own points alone, got a"
            f" {type(network.model).__name__} with one"
        )
    return network.model


def _estimated_label_weight(chain: Rounds, at: Outputs, missing: np.ndarray) -> float:
    """Label weight of the next student, from what the first round misses of the targets."""
    return estimate_label_weight(np.zeros_like(missing), -chain.change(at), missing)


@dataclass(frozen=True, eq=False)
class _Points:
    """Points and targets, and the name that stands before what is measured there."""

    name: str
    X: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, name: str, of_points: str, of_targets: str, X: Any, y: Any, model: Any, dtype: Any) -> _Points:
        points = _training_data.require_points(X, dtype, name=of_points)
        n_outputs = _training_data.count_outputs(model, points, None)
        targets = _training_data.require_targets(
            y, len(points), n_outputs, _SQUARED, np.dtype(np.float64), name=of_targets
        )
        return cls(name, points, targets)


def _trained(rounds: Sequence[Snapshot], points: _Points, loss: DistillationLoss) -> np.ndarray:
    """Predictions of networks, of shape (n_rounds, n, k)."""
    for run in rounds:
        n_outputs = _training_data.count_outputs(run.model, points.X, run.state)
        if n_outputs != points.targets.shape[1]:
            raise ValueError(
                f"distillation must be of networks of {points.targets.shape[1]} outputs, got one of {n_outputs}"
            )
    return np.stack([np.asarray(loss.predictions(run.logits(points.X)), dtype=float) for run in rounds])


def _measured(points: Sequence[_Points], predicted: Sequence[np.ndarray]) -> pd.DataFrame:
    """Measure every round in a row: errors, accuracies and agreements on all points, and gains on validation points."""
    table = pd.DataFrame(index=range(len(predicted[0])))
    for each, outputs in zip(points, predicted, strict=True):
        errors = np.sum((outputs - each.targets) ** 2, axis=2)
        table[f"{each.name}_error"] = errors.mean(axis=1)
        answers = _answers(outputs)
        if outputs.shape[2] > 1 or bool(np.all(np.abs(each.targets) == 1.0)):
            table[f"{each.name}_accuracy"] = np.mean(answers == _answers(each.targets), axis=1)
        table[f"{each.name}_agreement"] = [np.nan, *np.mean(answers[1:] == answers[:-1], axis=1)]
        if each.name == "val":
            gains = errors[:-1] - errors[1:]
            table["gain"] = [np.nan, *gains.mean(axis=1)]
            table["gain_standard_error"] = [np.nan, *(gains.std(axis=1, ddof=1) / np.sqrt(gains.shape[1]))]
    return table


def _gain_signs(table: pd.DataFrame) -> pd.Series:
    """Signs of gains, 0 for those that are nothing but rounding in single precision."""
    return np.sign(table["gain"]).where(table["gain"].abs() > _NO_GAIN * table["val_error"].shift(), 0.0)


def _answers(outputs: np.ndarray) -> np.ndarray:
    """Top class, or of one output whether it is positive."""
    return outputs.argmax(axis=-1) if outputs.shape[-1] > 1 else outputs[..., 0] > 0.0
