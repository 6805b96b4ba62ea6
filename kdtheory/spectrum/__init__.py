"""The spectrum of a Gram matrix: the one decomposition on which every model of the package runs."""

from kdtheory.spectrum.base import Spectrum
from kdtheory.spectrum.gram import as_spectrum
from kdtheory.spectrum.lanczos import LanczosSpectrum, LanczosWarning
from kdtheory.spectrum.weighted import WeightedSpectrum

__all__ = [
    "LanczosSpectrum",
    "LanczosWarning",
    "Spectrum",
    "WeightedSpectrum",
    "as_spectrum",
]
