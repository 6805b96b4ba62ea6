"""The empirical neural tangent kernel of a PyTorch module. Needs PyTorch: `pip install "kdtheory[torch]"`."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call, jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from kdtheory._typing import Array
from kdtheory.nets._network import Derivatives, Network
from kdtheory.nets._tangent_kernel import TangentKernel

_DTYPES: dict[Any, np.dtype[Any]] = {torch.float32: np.dtype(np.float32), torch.float64: np.dtype(np.float64)}


@dataclass(frozen=True, eq=False, repr=False)
class ModuleNTK(TangentKernel):
    """The empirical neural tangent kernel of a PyTorch module, `K(x, y) = ∂f(x)/∂θ · ∂f(y)/∂θ`, at its parameters.

    The twin of `EmpiricalNTK`: the same arguments, Gram matrices in numpy, operators, and errors.

    Parameters
    ----------
    module : torch.nn.Module
        Gives outputs of shape (n, k), or (n,), of a batch of n points. It is copied. Parameters that do not require a
        gradient are left out, and buffers are as they are.
    outputs : {"mean", "trace", "sum"} or int, default "mean"
    input_shape : sequence of int, optional
    max_bytes : int, default 2**28
        As for `EmpiricalNTK`.

    Raises
    ------
    ValueError, TypeError
        As for `EmpiricalNTK`, and for batch normalisation and dropout in training mode; modules and parameters are
        named.

    See Also
    --------
    torch.func.jacrev : what Jacobians are made with.

    Notes
    -----
    Source: Jacot, Gabriel & Hongler (2018), "Neural tangent kernel".

    Jacobians are expanded for every layer, with `torch.func`: `EmpiricalNTK` is faster for dense layers.

    Examples
    --------
    >>> import torch
    >>> ModuleNTK(torch.nn.Linear(2, 1)).gram([[0.0, 0.0], [1.0, 2.0]])
    array([[1., 1.],
           [1., 6.]])
    """

    module: torch.nn.Module

    def __post_init__(self) -> None:
        if not isinstance(self.module, torch.nn.Module):
            raise TypeError(f"module must be a torch.nn.Module, got {self.module!r}")
        object.__setattr__(self, "module", copy.deepcopy(self.module))
        super().__post_init__()

    def _network(self) -> Network:
        return TorchNetwork(self.module)

    def __repr__(self) -> str:
        network = self.network
        return (
            f"ModuleNTK({type(self.module).__name__}, n_parameters={network.n_parameters}, dtype={network.dtype},"
            f" outputs={self.outputs!r})"
        )


class TorchNetwork(Network):
    """A checked module, its parameters that require a gradient, and the rest."""

    def __init__(self, module: torch.nn.Module) -> None:
        for name, part in module.named_modules():
            if part.training and isinstance(part, _NormBase | _DropoutNd):
                raise ValueError(
                    f"module must not have {type(part).__name__} in training mode, got {name or 'module'}: call"
                    " module.eval() first"
                )
        trained = {name: each.detach() for name, each in module.named_parameters() if each.requires_grad}
        if not trained:
            raise ValueError("module must have at least one parameter that requires a gradient, got none")
        for name, each in trained.items():
            if each.dtype not in _DTYPES:
                raise TypeError(f"parameter {name} must be of float32 or float64, got {each.dtype}")
            finite = torch.isfinite(each)
            if not bool(finite.all()):
                where = tuple(int(index) for index in (~finite).nonzero()[0])
                raise ValueError(f"parameter {name} must be finite, got {float(each[where])} at index {where}")
        self._module, self._trained = module, trained
        frozen = {name: each.detach() for name, each in module.named_parameters() if not each.requires_grad}
        self._rest = frozen | dict(module.named_buffers())
        self.dtype: np.dtype[Any] = np.result_type(*(_DTYPES[each.dtype] for each in trained.values()))
        self._type = next(kind for kind, dtype in _DTYPES.items() if dtype == self.dtype)
        self._device = next(iter(trained.values())).device
        self.n_parameters: int = sum(each.numel() for each in trained.values())
        self._known: dict[tuple[int, ...], int] = {}
        self._kept: dict[tuple[int, ...], int] = {}

    def n_outputs(self, points: np.ndarray) -> int:
        """Count the outputs k, where the module gives shape (n, k) or (n,) for these points; any other is refused."""
        if points.shape not in self._known:
            with torch.no_grad():
                self._known[points.shape] = self._count(points)
        return self._known[points.shape]

    def point_numbers(self, points: np.ndarray, n_outputs: int) -> tuple[int, int]:
        """Count numbers for one point: of the derivatives of as many outputs, and of what is kept to find them."""
        shape = points[:1].shape
        if shape not in self._kept:
            kept = 0

            def count(tensor: torch.Tensor) -> torch.Tensor:
                nonlocal kept
                kept += tensor.numel()
                return tensor

            tracked = {name: each.requires_grad_() for name, each in self._fresh().items()}
            with saved_tensors_hooks(count, lambda tensor: tensor), torch.enable_grad():
                self._call(tracked, self._tensor(points[:1]))
            self._kept[shape] = kept
        return n_outputs * self.n_parameters, (1 + n_outputs) * self._kept[shape]

    def derivatives(self, points: np.ndarray, combinations: np.ndarray, size: int) -> Derivatives:
        """Give the derivatives of combinations (s, k) of outputs at each point: numpy's, if it has the memory."""
        del size  # nothing is compiled
        coefficients = self._tensor(combinations)

        def of_point(point: torch.Tensor) -> dict[str, torch.Tensor]:
            _, pull = self._vjp(point[None])
            return vmap(lambda row: pull(row[None])[0])(coefficients)

        found = vmap(of_point)(self._tensor(points)).values()
        flat = [each.reshape(*each.shape[:2], -1) for each in found]
        return [each.numpy() for each in flat] if self._device.type == "cpu" else flat

    def pull_back(self, points: np.ndarray, cotangents: np.ndarray, size: int) -> list[Array]:
        """`Jᵀ v` for each of q cotangents (q, b, k): arrays (q, ...) of the shapes of the parameters."""
        del size
        _, pull = self._vjp(self._tensor(points))
        return list(vmap(lambda vector: pull(vector)[0])(self._tensor(cotangents)).values())

    def push_forward(self, points: np.ndarray, tangents: list[Array], size: int) -> np.ndarray:
        """`J u` for each of q tangents, arrays (q, ...): an array (q, b, k)."""
        del size
        function, names = self._outputs(self._tensor(points)), list(self._trained)

        def push(tangent: list[torch.Tensor]) -> torch.Tensor:
            return jvp(function, (self._trained,), (dict(zip(names, tangent, strict=True)),))[1]

        def push_by_two_passes_back(tangent: list[torch.Tensor]) -> torch.Tensor:
            # The pass back is linear, and a pass back through it is its transpose.
            values, pull = vjp(function, self._trained)
            _, transposed = vjp(lambda vector: pull(vector)[0], torch.zeros_like(values))
            pushed: torch.Tensor = transposed(dict(zip(names, tangent, strict=True)))[0]
            return pushed

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, of what forward mode loads
            try:
                pushed = vmap(push)(tangents)
            except NotImplementedError:  # by operations without a forward mode
                with sdpa_kernel(SDPBackend.MATH):  # fused attention cannot be passed back through twice
                    pushed = vmap(push_by_two_passes_back)(tangents)
        return np.asarray(pushed.detach().cpu())

    def device_product(self, left: Array, right: Array, panel: int) -> np.ndarray:
        """`left rightᵀ` of two matrices of an accelerator, in double precision, a panel of columns at a time."""
        total = torch.zeros(len(left), len(right), dtype=torch.float64, device=left.device)
        for start in range(0, left.shape[1], panel):
            total += left[:, start : start + panel].double() @ right[:, start : start + panel].double().T
        return np.asarray(total.cpu())

    def _count(self, points: np.ndarray) -> int:
        together = self._call(self._trained, self._tensor(points))
        shape = tuple(together.shape) if isinstance(together, torch.Tensor) else None
        if shape is None or len(shape) not in (1, 2) or shape[0] != len(points) or math.prod(shape) == 0:
            given = type(together).__name__ if shape is None else f"shape {shape}"
            raise ValueError(
                f"module must return a tensor of shape (n, k) or (n,) for n points, got {given} for {len(points)}"
                f" points of shape {points.shape[1:]}"
            )
        if together.dtype not in _DTYPES:
            raise TypeError(f"module must return real numbers of float32 or float64, got {together.dtype}")
        if len(points) > 1:
            alone = torch.cat([self._call(self._trained, self._tensor(point[None])) for point in points])
            if float((together - alone).abs().max()) > 1e3 * np.finfo(self.dtype).eps * float(alone.abs().max()):
                raise ValueError(
                    "module must return rows that depend on their own points alone, got others for each point than for"
                    " two together"
                )
        return shape[1] if len(shape) == 2 else 1

    def _call(self, trained: dict[str, torch.Tensor], batch: torch.Tensor) -> Any:
        return functional_call(self._module, {**self._rest, **trained}, (batch,))

    def _outputs(self, batch: torch.Tensor) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
        """Give the outputs (n, k) as a function of the parameters."""

        def outputs(trained: dict[str, torch.Tensor]) -> torch.Tensor:
            values: torch.Tensor = self._call(trained, batch)
            return values.reshape(len(batch), -1).to(self._type)

        return outputs

    def _vjp(self, batch: torch.Tensor) -> Any:
        return vjp(self._outputs(batch), self._trained)

    def _fresh(self) -> dict[str, torch.Tensor]:
        return {name: each.detach().clone() for name, each in self._trained.items()}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.tensor(array, dtype=self._type, device=self._device)
