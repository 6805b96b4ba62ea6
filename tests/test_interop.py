"""What happens to arrays on their way to numpy, and without the libraries that they come from."""

import importlib.util

import numpy as np
import pytest

from kdtheory import _interop


def test_tensors_are_detached_and_moved_to_the_host_first(monkeypatch):
    steps = []

    class Tensor:
        def detach(self):
            steps.append("detached")
            return self

    def to_device(array, device):
        assert isinstance(array, Tensor)
        steps.append(device)
        return np.array([1.0, 2.0], dtype=np.float32)

    monkeypatch.setattr(_interop, "is_torch_array", lambda array: isinstance(array, Tensor))
    monkeypatch.setattr(_interop, "to_device", to_device)
    moved = _interop.to_numpy(Tensor())
    assert steps == ["detached", "cpu"]
    assert moved.dtype == np.float64
    np.testing.assert_array_equal(moved, [1.0, 2.0])


def test_double_precision_without_jax_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match=r'this needs jax: pip install "kdtheory\[jax\]"'):
        _interop.double_precision().__enter__()
