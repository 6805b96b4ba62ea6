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
    try:
        return getattr(importlib.import_module(f"kdtheory.nets.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library == "kdtheory":
            raise
        extra = "torch" if library == "torch" else "nets"
        message = f'kdtheory.nets.{name} needs {library}: pip install "kdtheory[{extra}]"'
        raise ModuleNotFoundError(message, name=library) from error


def __dir__() -> list[str]:
    return __all__
