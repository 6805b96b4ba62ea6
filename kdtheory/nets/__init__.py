"""Networks as kernels: the empirical tangent kernel of any function in JAX, and of any PyTorch module.

Each name loads its own library when it is first asked for: neither needs the other's.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdtheory.nets.empirical_ntk import EmpiricalNTK
    from kdtheory.nets.operator import EmpiricalNTKOperator, JointNTKOperator
    from kdtheory.nets.pytorch import ModuleNTK

__all__ = ["EmpiricalNTK", "EmpiricalNTKOperator", "JointNTKOperator", "ModuleNTK"]

_MODULES = {
    "EmpiricalNTK": "empirical_ntk",
    "EmpiricalNTKOperator": "operator",
    "JointNTKOperator": "operator",
    "ModuleNTK": "pytorch",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'kdtheory.nets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kdtheory.nets.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
