"""Networks between networks."""

from __future__ import annotations

from typing import Any, SupportsFloat

import equinox as eqx
import jax

from kdtheory._validation import require_share
from kdtheory.nets.models import same_architecture, split


def interpolate(model: Any, other: Any, *, share: SupportsFloat) -> Any:
    """Mix the weights of two networks: `λ·θ + (1 − λ)·θ′`.

    Parameters
    ----------
    model, other : equinox module
        Of the same architecture, with trainable weights θ and θ′.
    share : float
        λ in [0, 1]: 1 gives `model`, 0 gives `other`, to the last bit.

    Returns
    -------
    equinox module
        All that is not trained is that of `model`.

    Raises
    ------
    ValueError, TypeError
        For another architecture, and a share outside [0, 1].

    Notes
    -----
    Stanton et al. (2021), section 6.2, start students at `λ·teacher + (1 − λ)·random`. Statistics of batch
    normalisation are a state, of which there is no such mixture: they use layer normalisation.

    Examples
    --------
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> one, other = (MultilayerPerceptron(2, 2, width=4, key=jax.random.key(seed)) for seed in range(2))
    >>> between = interpolate(one, other, share=0.25)
    >>> change = between.layers[0].weight - other.layers[0].weight
    >>> bool(jax.numpy.allclose(change, 0.25 * (one.layers[0].weight - other.layers[0].weight), atol=1e-6))
    True
    """
    weight = require_share("share", share)
    if not same_architecture(model, other):
        raise ValueError(f"other must have the architecture of model, {model!r}, got {other!r}")
    (params, rest), (others, _) = split(model), split(other)
    if weight in (0.0, 1.0):
        return eqx.combine(params if weight else others, rest)
    return eqx.combine(jax.tree.map(lambda a, b: weight * a + (1.0 - weight) * b, params, others), rest)
