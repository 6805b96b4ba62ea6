"""Doctests that write files do so in a folder of their own, and modules of missing libraries have none."""

import importlib.util

import pytest

_TRAINING = (
    *("_layers", "_linearised", "_record", "_steps", "_training_data", "augmentation", "checkpoints", "distillation"),
    *("forecasting", "losses", "models", "plan", "residual", "training"),
    *("_mean_loss", "_smoothness", "_symmetric", "eigenvalues", "flatness", "hessian", "surface", "trace"),
)
_NEED = {
    "sphinx": ["docs/conf.py", "docs/extensions/*.py"],
    "torch": ["kdtheory/nets/pytorch.py"],
    "jax": ["kdtheory/nets/*.py"],
    "equinox": [
        *(f"kdtheory/nets/{name}.py" for name in _TRAINING),
        *("tests/test_nets_*.py", "tests/strict_user/networks.py"),
    ],
}
collect_ignore_glob = [
    "docs/gallery/*",  # copies of the examples
    *(path for library, paths in _NEED.items() if not importlib.util.find_spec(library) for path in paths),
]


@pytest.fixture(autouse=True)
def _own_folder(request, tmp_path, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
