"""Where spectra come from: whole matrices, landmarks, or products alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

from kdtheory._typing import QFilter
from kdtheory._validation import require_bool, require_nonnegative, require_weights

if TYPE_CHECKING:
    from kdtheory.spectrum.base import Spectrum
    from kdtheory.spectrum.lanczos import LanczosSpectrum
    from kdtheory.spectrum.nystrom import NystromSpectrum


class SpectrumSources:
    """The constructors of `Spectrum`; each imports what it needs, which imports `Spectrum`."""

    @classmethod
    def from_gram(
        cls, K: Any, sample_weight: Any = None, *, tolerance: float = 0.0, overwrite_K: bool = False
    ) -> Spectrum:
        """Decompose a Gram matrix.

        Parameters
        ----------
        K : array of shape (n, n)
            Symmetric positive semi-definite Gram matrix of numpy, jax, torch or another array API library.
        sample_weight : array of shape (n,), optional
            Weights w >= 0 of the points in every loss of the models on this spectrum, `½ Σ w_i (f(x_i) − y_i)²`; a
            weight counts as so many copies of its point, and penalties are not rescaled. Default: one each.
        tolerance : float
            A positive tolerance allows the eigenvectors of a low-rank factor, whose remainder, the part of K (with
            sample weights, of `S K S`) that is left out, has a trace of at most the tolerance, or of `n·eps·d_max`
            if that is larger. When the numerical rank of K is too large for that to pay, the whole decomposition is
            made all the same, and so it is for arrays of other libraries than numpy.
        overwrite_K : bool, default False
            Allow the memory of K to be used, which saves one n × n matrix: K then holds something else. Takes effect
            for numpy arrays in C order.

        Returns
        -------
        Spectrum
            All n eigenvalues, descending, or those of the low-rank factor, with arrays of the library, dtype and
            device of K. Eigenvalues within rounding of zero, `min(n, 8 + n/16)·eps·d_max`, are set to zero, and so are
            negative ones up to `1000·n·eps·d_max`, which the kernel functions of other libraries leave behind. In
            single precision the first is about `1e-5·d_max` for a thousand points: pass `K.astype(float)` where
            ridges are smaller than that.

        Raises
        ------
        ValueError
            When K is not square, not finite, not symmetric to 1e-8 of its largest entry, or clearly indefinite; when
            a sample weight is negative, or all are zero.
        TypeError
            When K does not hold real numbers.
        OverflowError
            When the largest eigenvalue is beyond the floating-point range.

        See Also
        --------
        scipy.linalg.eigh : the same decomposition, ascending and without the checks.

        Notes
        -----
        Cost: `O(n³)` once, and memory for three further n × n matrices, or two with `overwrite_K`. numpy arrays go to
        the first two parts of LAPACK's divide-and-conquer driver, which is as fast as any of its drivers
        (`benchmarks/bench_core.py`); its third part, multiplying out the eigenvectors, waits until they are asked for
        or products without it have cost as much. Other libraries use their own `linalg.eigh`.

        A low-rank factor with r columns costs `O(n·r²)` and, to see that K is what the factor says, `n²·r`. With a
        remainder E, fitted values and leave-one-out residuals of ridge regression change by about `tr E / ridge`,
        relatively: `1e-8·ridge` keeps eight digits, as far as rounding, up to `n·eps·d_max / ridge`, leaves them.
        Dual coefficients lack their part outside the eigenvectors, which leaves the function at the training points
        as it is but changes predictions elsewhere by up to `√(tr E · k(x, x)) · ‖y‖ / ridge`: fit the model that is
        chosen on the whole spectrum. Negative eigenvalues of K no larger than the tolerance may pass unseen;
        everything else that is refused without a tolerance is refused with one.

        Examples
        --------
        >>> import numpy as np
        >>> from kdtheory import Spectrum
        >>> Spectrum.from_gram(np.ones((3, 3))).eigenvalues
        array([3., 0., 0.])
        >>> Spectrum.from_gram(np.ones((3, 3)), tolerance=1e-9)
        Spectrum(n_points=3, rank=1, d_max=3, d_min=3)
        """
        from kdtheory.spectrum.gram import decompose_gram, symmetric_gram

        tolerance = require_nonnegative("tolerance", tolerance)
        gram = symmetric_gram(K, overwrite=require_bool("overwrite_K", overwrite_K))
        if sample_weight is None:
            return decompose_gram(gram, None, tolerance)
        weights = require_weights("sample_weight", sample_weight, gram.shape[0], like=gram)
        return decompose_gram(gram, weights, tolerance)

    @classmethod
    def nystrom(
        cls,
        kernel: Any,
        X: Any = None,
        n_components: SupportsIndex = 1000,
        *,
        pivots: Any = "rpcholesky",
        random_state: Any = 0,
        max_bytes: int | None = None,
        sample_weight: Any = None,
    ) -> NystromSpectrum:
        """Decompose the Nyström approximation of a kernel matrix that is never computed.

        Parameters
        ----------
        kernel : Kernel or GramOperator
            From `kdtheory.kernels`; or a symmetric operator, of which kernel and points are used.
        X : array of shape (n, d)
            Points; float32 gives a spectrum of single precision. Left out with an operator.
        n_components : int, default 1000
            Number m of landmarks, from 1 to n.
        pivots : {"rpcholesky", "uniform", "kmeans++"} or sequence of ints, default "rpcholesky"
            How landmarks are chosen: by randomly pivoted Cholesky, at random, far from each other (needs scikit-learn),
            or the given indices.
        random_state : int >= 0 or numpy.random.Generator, default 0
        max_bytes : int, optional
            Most bytes for the factor of the matrix, in whose memory the eigenvectors end up, and for work space.
        sample_weight : array of shape (n,), optional
            Weights w > 0 of the points in every loss, as in `Spectrum.from_gram`; points that weigh more are likelier
            to be landmarks by "rpcholesky". Points without weight can be left out of X and predicted with `cross`.

        Returns
        -------
        NystromSpectrum
            A `WeightedNystromSpectrum` with sample weights. With fewer than m landmarks, and a `RankWarning`, when the
            others depend on these to rounding, as duplicates do.

        Raises
        ------
        ValueError, TypeError
            For more components than points, points that are not finite (the row is named), an unknown choice of pivots,
            `max_bytes` too small (the message says the least that works), sample weights that are not all > 0, and for
            a kernel that shows itself not to be positive semi-definite.

        Notes
        -----
        Cost: m columns of the kernel matrix and about `6 n·m²`, in matrix products; memory for `n·m` numbers and a few
        hundred columns more. The columns of a distributed operator are computed where the spectrum is, since that is
        little beside the rest.

        K̂ is what ridge regression in the span of the landmarks' kernel functions uses. Leave-one-out predictions are
        exact for refits with K̂ held fixed, the landmarks and the features they give included.

        Source: Williams & Seeger (2001); Chen, Epperly, Tropp & Webber (2023) for the landmarks. Twin:
        `sklearn.kernel_approximation.Nystroem`, which takes uniform landmarks and features up to a rotation.

        Examples
        --------
        >>> from kdtheory import Spectrum
        >>> from kdtheory.kernels import RBF
        >>> Spectrum.nystrom(RBF(gamma=0.1), [[0.0], [1.0], [2.0], [3.0]], 4)
        NystromSpectrum(n_points=4, rank=4, d_max=3.25044, d_min=0.00214724, trace_error=0)
        """
        from kdtheory.spectrum.nystrom import nystrom_spectrum

        return nystrom_spectrum(
            kernel,
            X,
            n_components,
            pivots=pivots,
            random_state=random_state,
            max_bytes=max_bytes,
            sample_weight=sample_weight,
        )

    @classmethod
    def lanczos(
        cls,
        operator: Any,
        targets: Any,
        n_iterations: SupportsIndex,
        *,
        filter_: QFilter | Sequence[QFilter] | None = None,
        tolerance: SupportsFloat = 1e-8,
        preconditioner: Spectrum | None = None,
    ) -> LanczosSpectrum:
        """Find what some targets see of a Gram matrix that need not be stored.

        Parameters
        ----------
        operator : scipy.sparse.linalg.LinearOperator of shape (n, n), or array
            Symmetric positive semi-definite, such as `kdtheory.kernels.RBF().operator(X)`.
        targets : array of shape (n,) or (n, k)
            Targets y. The spectrum is for them and their linear combinations only.
        n_iterations : int
            Largest number of steps; each multiplies K by a block of as many columns as there are outputs.
        filter_ : Filter, callable or sequence of them, optional
            Filters, or other functions of the eigenvalues that return `q(d)`, that are to be exact: iterations stop
            when they are. For a grid of ridges its smallest one will do. By default all iterations are made.
        tolerance : float, default 1e-8
            Largest of `LanczosSpectrum.residuals` for these filters.
        preconditioner : Spectrum, optional
            Of a matrix near K, such as `Spectrum.nystrom` gives, for small ridges. Needs `filter_`, and then with every
            ridge and every step of a distillation that will be used (one label weight will do).

        Returns
        -------
        LanczosSpectrum
            At most `n_iterations·k` eigenvalues and eigenvectors. Fitted values, dual coefficients and predictions of
            every filter, path and trajectory are had from it as from the exact one; traces and leave-one-out errors,
            which need the other modes, are refused.

        Raises
        ------
        ValueError, TypeError
            For an operator that is not square, clearly not symmetric or indefinite, and targets of another length.
        OverflowError
            When a product is not finite.

        Warns
        -----
        LanczosWarning
            When the iterations end before the filters are that exact, with the residual that they reach.

        Notes
        -----
        Block Lanczos with full reorthogonalisation; blocks shrink when the targets' Krylov space ends, and then every
        filter is exact. Cost: one product with K a step, and O(n·r·k) for a step with r columns so far; memory for
        n·r numbers. Source: Golub & Van Loan (2013), section 10.3; Saad (1992). Twin: `scipy.sparse.linalg.eigsh`
        finds the largest eigenvalues whatever the targets, `scipy.sparse.linalg.cg` one ridge at a time.

        With a preconditioner of eigenvectors U and eigenvalues d, the space begins with the targets and `q(K̂) y` for
        each filter, where `K̂ = U diag(d) Uᵀ`, and every step adds `q(K̂)` times each residual that is above the
        tolerance: for ridges the directions of preconditioned conjugate gradients, which `solve_ridge` takes for one
        alone. A step multiplies K by at most one column for each filter and output, and by fewer where these nearly
        depend on each other; memory is needed for 2·n·r numbers. Filters that were not named are much less exact, as
        their residuals say, and flows, descents and late steps named alone take more products than without.

        Examples
        --------
        >>> import numpy as np
        >>> from kdtheory import Ridge, Spectrum, fit_filter
        >>> K, y = np.diag([3.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0])
        >>> spectrum = Spectrum.lanczos(K, y, 10)
        >>> spectrum.eigenvalues.round(12)
        array([3., 2.])
        >>> fit_filter(spectrum, y, Ridge(1.0)).fitted.round(3)
        array([0.75 , 0.667, 0.   ])
        """
        from kdtheory.spectrum.lanczos import lanczos_spectrum

        return lanczos_spectrum(
            operator, targets, n_iterations, filter_=filter_, tolerance=tolerance, preconditioner=preconditioner
        )
