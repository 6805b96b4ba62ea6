"""Where the estimators' spectrum comes from: the `solver` of every estimator, an object or its name.

- `Eigh()` or `"eigh"` decomposes the whole Gram matrix, in time `9 n³` and memory for about `4 n²` numbers. It gives
  everything, for any kernel.
- `Nystrom()` or `"nystrom"` fits in the span of m landmarks' kernel functions, in time `6 n·m²` and memory for `n·m`
  numbers and work space. It gives everything, for that approximation.
- `Lanczos()` or `"lanczos"` multiplies by the Gram matrix until the model is exact, in time for one product a step and
  memory for n numbers a step and output. It gives the model with given parameters, exact to a tolerance.
- `"auto"`, the default, is one of them.

`"auto"` takes `Eigh()` up to 10,000 points, if `4 n²` numbers fit into half of the memory of the machine, or of the
container. Above that it takes `Lanczos()` where all parameters of the model are given, and `Nystrom()` where they are
chosen by held-out errors. For what only `Eigh()` can do it takes that, whatever the size: sparse points, and kernels
without a counterpart in `kdtheory.kernels`, which are "sigmoid", "chi2", "additive_chi2", "precomputed", functions, and
polynomials of a degree that is no integer. The fitted attribute `solver_` says what was taken; with `verbose`,
estimators that have it print a line.

**Nyström** replaces the kernel by `k̂(x, z) = k(x, P) k(P, P)⁻¹ k(P, z)` with landmarks P, of which `X_fit_` holds
nothing else, so a prediction costs O(m), however many points were fitted. Leave-one-out errors and those of folds are
exact for that kernel with the landmarks held fixed: points are left out of every fit, but landmarks that are left out
still span the functions. With as many landmarks as points it is the kernel itself.

**Lanczos** never stores the Gram matrix and approximates nothing but to a tolerance. It knows the modes of its targets
only: it cannot find degrees of freedom, so that `effective_dof_` is absent, nor held-out errors, and estimators that
need these refuse it.

Points of sample weight zero do not matter to a model: `Nystrom` and `Lanczos` leave them out of `X_fit_`.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from kdtheory._validation import require_nonnegative_integer, require_positive, require_positive_integer

_MOST_POINTS = 10_000
_ARRAYS = 4
_SHARE = 0.5
_USUAL_BYTES = 2**33
"""Of memory, where the operating system does not say how much there is."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says what a container may use, in its second and first version."""

_PIVOTS = ("rpcholesky", "uniform", "kmeans++")


class _Short:
    """Shows the parameters that are not the default ones, as estimators do."""

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)  # type: ignore[arg-type]
            if getattr(self, field.name) != field.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Eigh(_Short):
    """Decompose the whole Gram matrix, for any kernel.

    See Also
    --------
    kdtheory.Spectrum.from_gram : the decomposition.

    Examples
    --------
    >>> from kdtheory.estimators import SelfDistilledKernelRidge
    >>> SelfDistilledKernelRidge(solver=Eigh()).fit([[0.0], [1.0]], [0.0, 1.0]).solver_
    Eigh()
    """


@dataclass(frozen=True, repr=False)
class Nystrom(_Short):
    """Fit in the span of the kernel functions of landmarks.

    Parameters
    ----------
    n_components : int, default 1000
        Number m of landmarks, >= 1. With fewer points, as in folds of a cross-validation, all of them are landmarks;
        and there are fewer where the others depend on these to rounding.
    pivots : {"rpcholesky", "uniform", "kmeans++"}, default "rpcholesky"
        How landmarks are chosen: by randomly pivoted Cholesky, at random, or far from each other.
    random_state : int >= 0, default 0
        A number, so that a model fitted again is the same.
    max_bytes : int, default None
        Most bytes for `n·m` numbers and work space; fits that would need more are refused. None: no limit.

    Raises
    ------
    ValueError, TypeError
        For other values.

    See Also
    --------
    kdtheory.Spectrum.nystrom : the approximation.

    Examples
    --------
    >>> from kdtheory.estimators import SelfDistilledKernelRidge
    >>> X, y = [[0.0], [0.1], [2.0], [2.1]], [0.0, 0.0, 1.0, 1.0]
    >>> model = SelfDistilledKernelRidge(0.01, solver=Nystrom(n_components=2)).fit(X, y)
    >>> model.X_fit_.shape, model.predict([[0.0], [2.0]]).round(1)
    ((2, 1), array([0., 1.]))
    """

    n_components: int = 1000
    pivots: str = "rpcholesky"
    random_state: int = 0
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        require_positive_integer("n_components", self.n_components)
        if not isinstance(self.pivots, str) or self.pivots not in _PIVOTS:
            raise ValueError(f"pivots must be one of {_PIVOTS}, got {self.pivots!r}")
        require_nonnegative_integer("random_state", self.random_state)
        if self.max_bytes is not None:
            require_positive_integer("max_bytes", self.max_bytes)


@dataclass(frozen=True, repr=False)
class Lanczos(_Short):
    """Multiply by a Gram matrix that is never stored until the model is exact.

    Parameters
    ----------
    n_iterations : int, default 500
        Largest number of products, >= 1, each with as many columns as there are outputs. More are needed the smaller
        the ridge; a `kdtheory.LanczosWarning` says what was reached when they are used up.
    tolerance : float, default 1e-6
        Size of `K c` minus the fitted values over that of the (centred) targets, > 0, at which iterations stop: for
        ridge regression, the relative residual.

    Raises
    ------
    ValueError, TypeError
        For other values.

    See Also
    --------
    kdtheory.Spectrum.lanczos : the iterations.

    Examples
    --------
    >>> from kdtheory.estimators import SelfDistilledKernelRidge
    >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 0.0]
    >>> model = SelfDistilledKernelRidge(0.1, solver=Lanczos(tolerance=1e-9)).fit(X, y)
    >>> model.solver_, hasattr(model, "effective_dof_"), model.predict([[1.0]]).round(3)
    (Lanczos(tolerance=1e-09), False, array([0.801]))
    """

    n_iterations: int = 500
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        require_positive_integer("n_iterations", self.n_iterations)
        require_positive("tolerance", self.tolerance)


Solver: TypeAlias = Eigh | Nystrom | Lanczos

SOLVERS = (Eigh, Nystrom, Lanczos)
_NAMES: dict[str, type[Solver]] = {"eigh": Eigh, "nystrom": Nystrom, "lanczos": Lanczos}


def as_solver(solver: Any) -> Solver | None:
    """Return the solver that an object or a name means, or None for "auto".

    Raises
    ------
    ValueError
        For anything else.

    Examples
    --------
    >>> as_solver("lanczos"), as_solver(Nystrom(50)), as_solver("auto")
    (Lanczos(), Nystrom(n_components=50), None)
    """
    if isinstance(solver, SOLVERS):
        return solver
    if isinstance(solver, str) and solver == "auto":
        return None
    if isinstance(solver, str) and solver in _NAMES:
        return _NAMES[solver]()
    raise ValueError(
        f"solver must be one of {['auto', *_NAMES]}, or an Eigh, Nystrom or Lanczos of kdtheory.estimators.solvers,"
        f" got {solver!r}"
    )


def choose_solver(n_points: int, *, every_mode: bool) -> Solver:
    """Return what "auto" takes for points and a kernel that every solver can work with.

    Parameters
    ----------
    n_points : int
    every_mode : bool
        Whether held-out errors are needed, which Lanczos iterations cannot give.

    Examples
    --------
    >>> choose_solver(100, every_mode=True), choose_solver(200_000, every_mode=True)
    (Eigh(), Nystrom())
    >>> choose_solver(200_000, every_mode=False)
    Lanczos()
    """
    if n_points <= _MOST_POINTS and _ARRAYS * 8 * n_points**2 <= _SHARE * machine_bytes():
        return Eigh()
    return Nystrom() if every_mode else Lanczos()


def machine_bytes() -> int:
    """Memory of the machine, or what the container or group of this process is allowed of it, if that is less."""
    try:
        n_pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not everywhere
        n_pages, page = 0, 0
    allowed = [n_pages * page if n_pages > 0 and page > 0 else _USUAL_BYTES]
    for file in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" where there is none
            allowed.append(int(Path(file).read_text()))
    return min(allowed)
