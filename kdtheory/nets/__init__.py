"""Networks: as kernels, by their empirical tangent kernel; and trained, on labels and on teachers.

Each name loads its own libraries when it is first asked for: `ModuleNTK` needs PyTorch, `EmpiricalNTK` jax, and all
that trains the extra `nets`.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdtheory.nets._symmetric import FlatnessWarning
    from kdtheory.nets.augmentation import ColorJitter, RandomCrop, RandomFlip, RandomRotation, Sequential
    from kdtheory.nets.checkpoints import load_network, save_network
    from kdtheory.nets.density import SpectralDensity, spectral_density
    from kdtheory.nets.distillation import Distillation, distill, self_distill
    from kdtheory.nets.eigenvalues import Eigenvalues, top_eigenvalues
    from kdtheory.nets.empirical_ntk import EmpiricalNTK
    from kdtheory.nets.ensembles import Ensemble
    from kdtheory.nets.flatness import measure_flatness
    from kdtheory.nets.forecasting import Forecast, forecast
    from kdtheory.nets.hessian import LossHessian
    from kdtheory.nets.interpolation import interpolate
    from kdtheory.nets.losses import DistillationLoss
    from kdtheory.nets.mixing import Mixup, Replacement, UniformNoise
    from kdtheory.nets.models import (
        ConvolutionalNetwork,
        LeNet5,
        MultilayerPerceptron,
        RandomFeatures,
        functional,
    )
    from kdtheory.nets.operator import EmpiricalNTKOperator, JointNTKOperator
    from kdtheory.nets.plan import TrainingPlan
    from kdtheory.nets.pytorch import ModuleNTK
    from kdtheory.nets.residual import ResNet
    from kdtheory.nets.surface import LossSurface, Plane, loss_surface, plane_through, random_plane
    from kdtheory.nets.trace import TraceEstimate, hessian_trace
    from kdtheory.nets.training import Snapshot, TrainingRun, train

_MODULES = {
    "_symmetric": ("FlatnessWarning",),
    "augmentation": ("ColorJitter", "RandomCrop", "RandomFlip", "RandomRotation", "Sequential"),
    "checkpoints": ("load_network", "save_network"),
    "density": ("SpectralDensity", "spectral_density"),
    "distillation": ("Distillation", "distill", "self_distill"),
    "eigenvalues": ("Eigenvalues", "top_eigenvalues"),
    "empirical_ntk": ("EmpiricalNTK",),
    "ensembles": ("Ensemble",),
    "flatness": ("measure_flatness",),
    "forecasting": ("Forecast", "forecast"),
    "hessian": ("LossHessian",),
    "interpolation": ("interpolate",),
    "losses": ("DistillationLoss",),
    "mixing": ("Mixup", "Replacement", "UniformNoise"),
    "models": (
        "ConvolutionalNetwork",
        "LeNet5",
        "MultilayerPerceptron",
        "RandomFeatures",
        "functional",
    ),
    "operator": ("EmpiricalNTKOperator", "JointNTKOperator"),
    "plan": ("TrainingPlan",),
    "pytorch": ("ModuleNTK",),
    "residual": ("ResNet",),
    "surface": ("LossSurface", "Plane", "loss_surface", "plane_through", "random_plane"),
    "trace": ("TraceEstimate", "hessian_trace"),
    "training": ("Snapshot", "TrainingRun", "train"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "ColorJitter",
    "ConvolutionalNetwork",
    "Distillation",
    "DistillationLoss",
    "Eigenvalues",
    "EmpiricalNTK",
    "EmpiricalNTKOperator",
    "Ensemble",
    "FlatnessWarning",
    "Forecast",
    "JointNTKOperator",
    "LeNet5",
    "LossHessian",
    "LossSurface",
    "Mixup",
    "ModuleNTK",
    "MultilayerPerceptron",
    "Plane",
    "RandomCrop",
    "RandomFeatures",
    "RandomFlip",
    "RandomRotation",
    "Replacement",
    "ResNet",
    "Sequential",
    "Snapshot",
    "SpectralDensity",
    "TraceEstimate",
    "TrainingPlan",
    "TrainingRun",
    "UniformNoise",
    "distill",
    "forecast",
    "functional",
    "hessian_trace",
    "interpolate",
    "load_network",
    "loss_surface",
    "measure_flatness",
    "plane_through",
    "random_plane",
    "save_network",
    "self_distill",
    "spectral_density",
    "top_eigenvalues",
    "train",
]

if importlib.util.find_spec("torch") is None:  # or a star import would ask for it
    __all__.remove("ModuleNTK")


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'kdtheory.nets' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"kdtheory.nets.{_MODULE_OF[name]}"), name)
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library == "kdtheory":
            raise
        extra = "torch" if library == "torch" else "nets"
        message = f'kdtheory.nets.{name} needs {library}: pip install "kdtheory[{extra}]"'
        raise ModuleNotFoundError(message, name=library) from error


def __dir__() -> list[str]:
    return __all__
