"""The empirical neural tangent kernel of any function of parameters and points, in JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kdtheory.nets._network import Network
from kdtheory.nets._tangent_kernel import TangentKernel


@dataclass(frozen=True, eq=False, repr=False)
class EmpiricalNTK(TangentKernel):
    """The empirical neural tangent kernel of a function in JAX: `K(x, y) = ∂f(x)/∂θ · ∂f(y)/∂θ` at given parameters.

    A kernel like any other: Gram matrices, operators, Nyström and Lanczos spectra, estimators and predictions. It is
    that of the network trained by the squared loss, linearised where the parameters are.

    Parameters
    ----------
    f : callable
        `f(params, x)` gives outputs of shape (n, k), or (n,), of a batch of n points; each row depends on its point
        alone. A function defined once is compiled once: pass the same one again, not a new lambda.
    params : pytree of float32 or float64 arrays
        What is differentiated, in their type. Gram matrices are products of these derivatives in double precision, so
        that spectra and small ridges lose nothing more; operators keep to the type of the parameters.
    outputs : {"mean", "trace", "sum"} or int, default "mean"
        What becomes of k outputs: the mean of their kernels, as neural-tangents gives it by default; the sum of their
        kernels; the kernel of the sum of the outputs; or the kernel of one of them, by its index. `joint_gram` keeps
        them all, whatever this says.
    input_shape : sequence of int, optional
        Shape of one input, such as (28, 28, 1): points may then have it, or be its entries in C order. Default:
        vectors.
    max_bytes : int, default 2**28
        Most bytes of work space, besides points, parameters and results. The memory of a network's passes is estimated
        from its operations.

    Raises
    ------
    ValueError, TypeError
        For an f that cannot be called, parameters that are not arrays of float32 or float64, or not finite (the path of
        the leaf is named), and unknown `outputs`.

    See Also
    --------
    neural_tangents.empirical_ntk_fn : the same for `vmap_axes=0` and `trace_axes=(-1,)`; multiply by k for "trace".
    kdtheory.nets.ModuleNTK : of a PyTorch module.

    Notes
    -----
    By contraction of Jacobians in blocks, symmetric half only: `n²·k·P/2` products for P parameters, in double
    precision. Weights that a function uses once, in a product with the vector of one point, are never expanded: their
    derivatives are outer products of inputs and sensitivities, and their kernel is the product of two small Gram
    matrices, `Σ_layers (A Aᵀ)∘(D Dᵀ)`, at the cost of `n²·(inputs + k·outputs)/2` for a layer. Convolutions and
    recurrent weights are expanded.

    With equinox: `params, static = eqx.partition(model, eqx.is_inexact_array)` and
    `f = lambda params, x: jax.vmap(eqx.combine(params, static))(x)`. With flax: `graph, params, rest =
    nnx.split(model, nnx.Param, ...)` and `f = lambda params, x: nnx.merge(graph, params, rest)(x)`; or, of linen,
    `f = lambda params, x: module.apply({"params": params}, x)`.

    Source: Jacot, Gabriel & Hongler (2018); Novak, Sohl-Dickstein & Schoenholz (2022), "Fast finite width neural
    tangent kernel", for structured derivatives and NTK-vector products.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> def f(params, x):
    ...     return jnp.tanh(x @ params["hidden"]) @ params["out"]
    >>> params = {"hidden": jnp.ones((2, 3), "float32"), "out": jnp.ones((3, 1), "float32")}
    >>> kernel = EmpiricalNTK(f, params)
    >>> kernel
    EmpiricalNTK(f, n_parameters=9, dtype=float32, outputs='mean')
    >>> kernel.gram([[0.0, 0.0], [1.0, -1.0]])
    array([[0., 0.],
           [0., 6.]])
    """

    f: Callable[[Any, Any], Any]
    params: Any

    def _network(self) -> Network:
        from kdtheory.nets._jax_network import JaxNetwork

        return JaxNetwork(self.f, self.params)

    def __repr__(self) -> str:
        network = self.network
        return (
            f"EmpiricalNTK({getattr(self.f, '__name__', type(self.f).__name__)}, n_parameters={network.n_parameters},"
            f" dtype={network.dtype}, outputs={self.outputs!r})"
        )
