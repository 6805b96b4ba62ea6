"""Ensembles of trained networks, as teachers or to predict with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from kdtheory._typing import Array
from kdtheory.fidelity import ensemble_logits
from kdtheory.nets.training import Snapshot

Combine = Literal["log_mean_probability", "mean_logit"]


@dataclass(frozen=True, init=False, repr=False)
class Ensemble(Snapshot):
    """Trained networks whose predictions are combined; a teacher wherever a single one is.

    Parameters
    ----------
    members : sequence of Snapshot
        Of any architectures, one or more; all of them with the same classes.
    combine : {"log_mean_probability", "mean_logit"}, default "log_mean_probability"
        Whether logits are those of the mean of the members' probabilities, as Stanton et al. (2021) have it, or the
        mean of their logits, as Pham et al. (2022). A student at a temperature other than 1 tells them apart, and the
        first is not the mean of tempered probabilities.

    Attributes
    ----------
    members, combine
        As given.
    model, state
        All members as one network, and their states if any has one.

    Raises
    ------
    ValueError, TypeError
        For no members, what is not a `Snapshot`, and another rule; where logits are asked for, for members that
        differ in classes.

    See Also
    --------
    kdtheory.fidelity.ensemble_logits : the same for logits.

    Examples
    --------
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> members = [Snapshot(MultilayerPerceptron(2, 3, width=4, key=jax.random.key(seed))) for seed in range(2)]
    >>> pair = Ensemble(members, combine="mean_logit")
    >>> both = np.mean([member.logits([[0.0, 1.0]]) for member in members], axis=0)
    >>> np.allclose(pair.logits([[0.0, 1.0]]), both, atol=1e-6)
    True
    """

    members: tuple[Snapshot, ...] = ()
    combine: Combine = "log_mean_probability"

    def __init__(self, members: Sequence[Snapshot], *, combine: Combine = "log_mean_probability") -> None:
        if combine not in ("log_mean_probability", "mean_logit"):
            raise ValueError(f"combine must be 'log_mean_probability' or 'mean_logit', got {combine!r}")
        if isinstance(members, Snapshot) or not isinstance(members, Iterable):
            raise TypeError(f"members must be a sequence of Snapshots, got {type(members).__name__}")
        some = tuple(members)
        if not some:
            raise ValueError("members must be one or more, got none")
        for i, member in enumerate(some):
            if not isinstance(member, Snapshot):
                raise TypeError(f"members must be Snapshots, got {type(member).__name__} at index {i}")
        states = tuple(member.state for member in some)
        model = _Combined(tuple(member.model for member in some), combine)
        for name, value in (
            ("members", some),
            ("combine", combine),
            ("model", model),
            ("state", states if any(state is not None for state in states) else None),
            ("epoch", 0),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        kinds = ", ".join(sorted({type(member.model).__name__ for member in self.members}))
        return f"Ensemble({len(self.members)} of {kinds}, combine={self.combine!r})"

    def logits(self, X: Any) -> np.ndarray:
        """Logits of points, member by member in batches.

        Parameters
        ----------
        X : array of shape (n, ...)

        Returns
        -------
        array of shape (n, k)

        Raises
        ------
        ValueError, TypeError
            As for each member; and for members that differ in classes.
        """
        of_members = [member.logits(X) for member in self.members]
        _require_same_classes(of_members)
        return ensemble_logits(of_members, combine=self.combine).astype(of_members[0].dtype)


class _Combined(eqx.Module):
    """All members as one network of one point."""

    models: tuple[Any, ...]
    combine: Combine = eqx.field(static=True)

    def __call__(self, x: Array, state: Any = None) -> Any:
        """Logits of one point; with a state, the logits and the new state."""
        states = (None,) * len(self.models) if state is None else state
        logits, new = [], []
        for model, before in zip(self.models, states, strict=True):
            values, after = (model(x), None) if before is None else model(x, before)
            logits.append(values)
            new.append(after)
        _require_same_classes(logits)
        stacked = jnp.stack(logits)
        if self.combine == "mean_logit":
            combined = jnp.mean(stacked, axis=0)
        else:
            combined = jax.nn.logsumexp(jax.nn.log_softmax(stacked), axis=0) - jnp.log(len(logits))
        return combined if state is None else (combined, tuple(new))


def _require_same_classes(logits: Sequence[Any]) -> None:
    classes = [int(each.shape[-1]) for each in logits]
    if len(set(classes)) > 1:
        raise ValueError(f"members must have the same classes, got {', '.join(map(str, classes))} of them")
