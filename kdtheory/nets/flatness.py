"""Flatness of trained networks: trace and extreme eigenvalues of the Hessian of their loss, side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pandas as pd
from tqdm import tqdm

from kdtheory.nets._mean_loss import model_and_state
from kdtheory.nets.eigenvalues import top_eigenvalues
from kdtheory.nets.hessian import LossHessian
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.trace import Method, hessian_trace


def measure_flatness(
    networks: Any,
    X: Any,
    y: Any,
    *,
    loss: DistillationLoss | None = None,
    teacher: Any = None,
    label_weight: float | None = None,
    batch_size: int | None = None,
    minibatch: int | None = None,
    method: Method = "hutch++",
    rtol: float = 0.003,
    tol: float = 1e-6,
    max_products: int = 2000,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure how flat the loss is around networks.

    Parameters
    ----------
    networks : equinox module, Snapshot, or mapping of str to these
        Such as teacher, students of several rounds, and one trained by another optimiser. With batch normalisation:
        snapshots, which have the state.
    X, y, loss, teacher, label_weight, batch_size
        As for `LossHessian`: one loss for all, so that they can be compared. Default: cross-entropy with the labels.
    minibatch : int, optional
        Take as many points at random, the same for all networks, instead of all of them.
    method, rtol
        As for `hessian_trace`.
    tol : float, default 1e-6
        As for `top_eigenvalues`.
    max_products : int, default 2000
        For the trace, and again for the eigenvalues.
    seed : int, default 0
    progress : bool, default False
        Show a bar on standard error.

    Returns
    -------
    DataFrame
        A row for every network, by its name: `loss`; `trace`, `trace_standard_error`, and `trace_low` and `trace_high`,
        the 95 % interval; `largest` and `smallest` eigenvalue, and `smallest_sign`, 0 where it is not told from 0;
        `n_parameters`, `n_products`, `seconds`, and `converged`, whether all of it is as exact as was asked for. One
        network that is not in a mapping has the name of its class.

    Raises
    ------
    ValueError, TypeError
        As for `LossHessian`, of any network before the first is measured, and for no networks at all.

    Warns
    -----
    FlatnessWarning
        When products are used up first.

    Notes
    -----
    Dinh et al. (2017): rescaled layers give the same function and another Hessian, so compare networks of one
    architecture, trained alike. Source: Pham et al. (2022), section 6 and tables 4 and 5, with full batches and errors.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> model = MultilayerPerceptron(2, 3, width=4, key=jax.random.key(0))
    >>> table = measure_flatness({"teacher": model}, [[0.0, 1.0], [1.0, 0.0]], [0, 2])
    >>> table.index.tolist(), bool(table.loc["teacher", "largest"] > 0.0)
    (['teacher'], True)
    """
    if isinstance(networks, list | tuple):
        raise TypeError(
            f"networks must be a mapping of names to networks, or one network, got a {type(networks).__name__}"
        )
    if not isinstance(networks, Mapping):
        networks = {type(model_and_state(networks, None)[0]).__name__: networks}
    if not networks:
        raise ValueError("networks must hold at least one network, got none")

    def hessian_of(network: Any) -> LossHessian:
        return LossHessian(network, X, y, loss=loss, teacher=teacher, label_weight=label_weight, batch_size=batch_size)

    for name, network in networks.items():  # all of them before hours may go into the first
        try:
            hessian_of(network)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError  # those of JAX take no text
            raise kind(f"networks must all have this loss, got of {name!r}: {error}") from error
    rows = {}
    for name, network in tqdm(networks.items(), disable=not progress, unit="network"):
        began = time.perf_counter()
        hessian = hessian_of(network)
        if minibatch is not None:
            hessian = hessian.minibatch(minibatch, seed)
        trace = hessian_trace(hessian, method=method, rtol=rtol, max_products=max_products, seed=seed)
        ends = top_eigenvalues(hessian, which="both", tol=tol, max_products=max_products, seed=seed)
        low, high = trace.interval()
        rows[name] = {
            "loss": hessian.mean_loss(),
            "trace": trace.value,
            "trace_standard_error": trace.standard_error,
            "trace_low": low,
            "trace_high": high,
            "largest": float(ends.values[0]),
            "smallest": float(ends.values[-1]),
            "smallest_sign": int(ends.signs[-1]),
            "n_parameters": hessian.n_parameters,
            "n_products": trace.n_products + ends.n_products,
            "seconds": time.perf_counter() - began,
            "converged": trace.converged and ends.converged,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("network")
