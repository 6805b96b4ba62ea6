"""Random problems: spectra drawn in log space, with exact zeros and repeated values, and seeded bases."""

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st


def examples(number: int) -> settings:
    """As many examples as a property needs, and as many times fewer as the profile asks for fewer."""
    share = settings().max_examples / settings.get_profile("reproducible").max_examples
    return settings(max_examples=max(1, int(share * number)))


@dataclass(frozen=True)
class Problem:
    """A Gram matrix with a known spectrum, targets, a penalty, and a cross Gram matrix in its range."""

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    y: np.ndarray
    ridge: float
    K_test: np.ndarray
    y_test: np.ndarray

    @property
    def K(self) -> np.ndarray:
        K = self.eigenvectors * self.eigenvalues @ self.eigenvectors.T
        return (K + K.T) / 2

    @property
    def hat(self) -> np.ndarray:
        """The hat matrix of the first step, `K (K + ridge I)^-1`."""
        return self.eigenvectors * (self.eigenvalues / (self.eigenvalues + self.ridge)) @ self.eigenvectors.T


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(np.log10(low), np.log10(high)).map(lambda exponent: float(10.0**exponent))


@st.composite
def spectra(draw, min_size=1, max_size=7, low=1e-4, high=1e2, zeros=True):
    """Descending eigenvalues; some are exact repetitions, some are zero."""
    distinct = draw(st.lists(log_uniform(low, high), min_size=min_size, max_size=max_size))
    values = distinct + distinct[: draw(st.integers(0, 1))] + [0.0] * (draw(st.integers(0, 2)) if zeros else 0)
    return np.sort(np.array(values))[::-1]


@st.composite
def problems(draw, min_size=1, max_size=7, outputs=True, zeros=True, low=1e-4, high=1e2):
    d = draw(spectra(min_size=min_size, max_size=max_size, zeros=zeros, low=low, high=high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = len(d), draw(st.integers(2, 6))
    columns = draw(st.sampled_from([(), (1,), (3,)])) if outputs else ()
    eigenvectors = np.linalg.qr(rng.standard_normal((n, n)))[0]
    # Rows of a cross Gram matrix lie in the range of K, as those of a joint positive semi-definite kernel do.
    K_test = rng.standard_normal((m, n)) * np.sqrt(d) @ eigenvectors.T
    return Problem(
        eigenvalues=d,
        eigenvectors=eigenvectors,
        y=rng.standard_normal((n, *columns)),
        ridge=draw(log_uniform(1e-2, 1e1)),
        K_test=K_test,
        y_test=rng.standard_normal((m, *columns)),
    )


unit_weights = st.floats(0.0, 1.0)
real_weights = st.one_of(st.floats(-2.0, 3.0), st.sampled_from([0.0, 1.0, 0.5, 2.0, -1.0]))
