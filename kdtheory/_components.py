"""Targets, or a signal, in the eigenbasis of a Gram matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._interop import to_numpy
from kdtheory._sequence_model import SequenceModel
from kdtheory._typing import Array
from kdtheory._validation import require_representable, require_targets
from kdtheory.spectrum import Spectrum, as_spectrum


@dataclass(frozen=True, eq=False)
class Components:
    """Squared components along the eigenvectors, and what lies outside all of them."""

    spectrum: Spectrum
    coordinates: Array
    energy: Array
    """Squared components, summed over the outputs, shape (r,)."""
    outside: float
    """Squared size of what no eigenvector reaches."""
    n_outputs: int

    @classmethod
    def of(cls, K: Any, name: str, values: Any) -> Components:
        """Validate a Gram matrix and values of shape (n,) or (n, k) at its points."""
        spectrum = as_spectrum(K)
        spectrum.require_whole("a risk")
        d = spectrum.eigenvalues
        targets = require_targets(name, values, spectrum.n_points, like=d)
        coordinates = spectrum.coordinates(targets)
        xp = array_namespace(d)
        with np.errstate(over="ignore"):
            squares = coordinates**2 if targets.ndim == 1 else xp.sum(coordinates**2, axis=1)
            outside = 0.0
            if d.shape[0] < spectrum.n_points:
                missed = spectrum.whiten(targets) - spectrum.lift(xp.ones_like(d), coordinates)
                outside = float(require_representable(xp.sum(missed**2), f"the energy of {name}"))
        n_outputs = 1 if targets.ndim == 1 else int(targets.shape[1])
        return cls(spectrum, coordinates, require_representable(squares, f"the energy of {name}"), outside, n_outputs)

    @property
    def size(self) -> int:
        """Number of targets, over which risks are means; points of sample weight zero have none."""
        return self.spectrum.n_weighed * self.n_outputs

    def sequence_model(self, noise_variance: float) -> SequenceModel:
        """Return the sums over modes for these values as the signal; zero eigenvalues count as outside."""
        d, energy = to_numpy(self.spectrum.eigenvalues), to_numpy(self.energy)
        positive = d > 0.0
        return SequenceModel(
            eigenvalues=d[positive],
            energy=energy[positive],
            noise=noise_variance * self.n_outputs,
            outside=self.outside + float(np.sum(energy[~positive])),
            n_points=self.spectrum.n_weighed,
            n_outputs=self.n_outputs,
            eps=float(array_namespace(self.energy).finfo(self.energy.dtype).eps),
        )
