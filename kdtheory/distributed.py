"""Gram operators on a Dask cluster: the tasks of one product run on many machines, and give the same bits.

Needs Dask: `pip install "kdtheory[distributed]"`. Scheduling, transport and recovery are Dask's.
"""

from __future__ import annotations

import importlib.util
import math
import mmap
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, SupportsFloat

import numpy as np

if importlib.util.find_spec("distributed") is None:
    raise ModuleNotFoundError('kdtheory.distributed needs Dask: pip install "kdtheory[distributed]"')

from distributed import Client, Future
from distributed.client import CancelledError
from distributed.scheduler import KilledWorker, NoValidWorkerError, NoWorkerError

from kdtheory._validation import require_positive
from kdtheory.kernels import GramOperator, Kernel
from kdtheory.kernels._threads import one_blas_thread
from kdtheory.kernels.tasks import PartialProduct, Task, block_product

__all__ = ["DistributedGramOperator"]

_PAIRS_OF_A_JOB = 60_000_000
"""Kernel values that take a worker some tenths of a second, beside which Dask's own work does not count."""

_JOBS_OF_A_THREAD = 3
_MOST_LOSSES = 10

Points = Callable[[], np.ndarray]


class DistributedGramOperator(GramOperator):
    """The Gram matrix `K(X, Y)` as a linear operator that a Dask cluster multiplies by.

    Its products have the same bits as those of `kernel.operator(X, Y)` wherever BLAS and processor are the same: the
    tasks are the same, each runs with one BLAS thread, and they are added in the same order. Nyström and Lanczos
    spectra and conjugate gradients take it as they take any operator.

    Parameters
    ----------
    kernel : Kernel
        From `kdtheory.kernels`.
    X : array of shape (n, d), or function without arguments that returns it
        Points. Workers open a memory-mapped file themselves, and call a function once, such as one that reads an npy,
        zarr or parquet file from storage that all of them and the client share: nothing of it passes through the
        cluster then, and a lost worker costs only its blocks. Another array is copied to every worker.
    Y : array of shape (m, d), or function, optional
        Default: X.
    client : distributed.Client
        Of a cluster with at least one worker.
    max_bytes : int, default 2**28
        As for `Kernel.operator`; it bounds the columns that are multiplied at once.
    progress : bool, default False
        Show a bar; needs tqdm.
    no_workers_timeout : float, default 60
        Seconds after which a cluster without workers is an error, > 0. Also set on the scheduler, if it would wait
        for ever.

    Raises
    ------
    ValueError, TypeError
        As for `Kernel.operator`; for a client that is none, and points that workers see in another shape.
    RuntimeError
        From products, when the cluster has no workers for that long, or loses what is multiplied again and again.

    See Also
    --------
    kdtheory.kernels.GramOperator : the same on one machine.
    dask.array : stores what it multiplies, in many small tasks.

    Notes
    -----
    A product whose results so far have arrived goes on where it was when workers die, when nodes leave for good, and
    when all of them are lost and others join. What is multiplied, `m·k` numbers, is sent to every worker, and the parts
    of the result come back: some `16·n·k` numbers.

    Examples
    --------
    >>> from distributed import Client
    >>> from kdtheory.kernels import RBF
    >>> with Client(processes=False, n_workers=1, dashboard_address=":0") as client:
    ...     DistributedGramOperator(RBF(gamma=1.0), [[0.0], [1.0]], client=client) @ [1.0, 0.0]
    array([1.        , 0.36787944])
    """

    client: Client
    no_workers_timeout: float

    def __init__(
        self,
        kernel: Kernel,
        X: Any,
        Y: Any = None,
        *,
        client: Client,
        max_bytes: int = 2**28,
        progress: bool = False,
        no_workers_timeout: SupportsFloat = 60.0,
    ) -> None:
        if not isinstance(client, Client):
            raise TypeError(f"client must be a distributed.Client, got {client!r}")
        if not isinstance(kernel, Kernel):
            raise TypeError(f"kernel must be a Kernel of kdtheory.kernels, got {kernel!r}")
        self.client = client
        self.no_workers_timeout = require_positive("no_workers_timeout", no_workers_timeout)
        here = X() if callable(X) else X, Y() if callable(Y) else Y
        super().__init__(kernel, *here, max_bytes=max_bytes, progress=progress)
        rows = _source(X, self.X)
        self._sources = rows, rows if self.is_symmetric else _source(Y, self.Y)
        self._places: list[Any] | None = None
        self._require_workers()

    def _partials(self, V: np.ndarray) -> Iterator[PartialProduct]:
        """Results of all tasks in order, from as many runs of what is missing as the cluster needs."""
        jobs = self._jobs()
        done, losses = 0, 0
        with self._bar() as bar:
            while done < len(jobs):
                try:
                    for future in self._submit(jobs[done:], V):
                        for partial in future.result():
                            yield partial
                            bar.update()
                        done += 1
                except CancelledError as error:  # what was multiplied, or X, has died with its last holder
                    losses += 1
                    self._places = None
                    if losses > _MOST_LOSSES:
                        raise RuntimeError(f"the cluster lost what is multiplied {losses} times") from error
                except (NoWorkerError, NoValidWorkerError, TimeoutError) as error:
                    raise self._no_workers() from error
                except KilledWorker as error:
                    raise RuntimeError(
                        f"the cluster's workers die of their tasks, perhaps of memory: {error}"
                    ) from error

    def _submit(self, jobs: Sequence[Sequence[Task]], V: np.ndarray) -> list[Future]:
        self._require_workers()
        if self._places is None:
            sources = self._sources[: 1 if self.is_symmetric else 2]
            self._places = [self._copied(each) if isinstance(each, np.ndarray) else each for each in sources]
        multiplied, places = self._copied(V), self._places
        shapes = (self.X.shape, self.Y.shape)
        name = f"gram-product-{uuid.uuid4().hex}"
        return [
            self.client.submit(
                _run, self.kernel, job, multiplied, places[0], places[-1], shapes, key=f"{name}-{number}", pure=False
            )
            for number, job in enumerate(jobs)
        ]

    def _copied(self, array: np.ndarray) -> Future:
        """Give every worker a copy."""
        return self.client.scatter(array, broadcast=True, hash=False, timeout=self.no_workers_timeout)

    def _jobs(self) -> list[list[Task]]:
        """Consecutive tasks, enough for a job to be worth its message, and few enough for every thread to have some."""
        self._require_open()
        pairs = [(task.rows[1] - task.rows[0]) * (task.columns[1] - task.columns[0]) for task in self.tasks()]
        n_threads = max(1, sum(self.client.nthreads().values()))
        enough = max(1, min(_PAIRS_OF_A_JOB, math.ceil(sum(pairs) / (_JOBS_OF_A_THREAD * n_threads))))
        jobs: list[list[Task]] = []
        size = enough
        for task, count in zip(self.tasks(), pairs, strict=True):
            if size >= enough:
                jobs.append([])
                size = 0
            jobs[-1].append(task)
            size += count
        return jobs

    def _require_open(self) -> None:
        if self.client.status in ("closing", "closed"):
            raise RuntimeError(f"client must be open, got one that is {self.client.status}")

    def _require_workers(self) -> None:
        self._require_open()
        self.client.run_on_scheduler(_set_timeout, self.no_workers_timeout)
        try:
            self.client.wait_for_workers(1, timeout=self.no_workers_timeout)
        except TimeoutError as error:
            raise self._no_workers() from error

    def _no_workers(self) -> RuntimeError:
        return RuntimeError(
            f"client must have a cluster with workers, got {self.client!r} without any for {self.no_workers_timeout} s"
        )


@dataclass(frozen=True)
class _Opened:
    """Points that a worker opens itself, once; two are the same if their names are."""

    function: Points = field(compare=False, repr=False)
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class _MemoryMap:
    """How to open a memory-mapped file again."""

    path: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    order: Any

    def __call__(self) -> np.ndarray:
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)


def _source(given: Any, points: np.ndarray) -> _Opened | np.ndarray:
    if callable(given):
        return _Opened(given)
    whole: Any = getattr(given, "base", None)  # what a memory-mapped file has, and a part of one has not
    if isinstance(given, np.memmap) and isinstance(whole, mmap.mmap):
        order: Any = "C" if given.flags.c_contiguous else "F"
        return _Opened(_MemoryMap(str(given.filename), given.dtype.str, given.shape, int(given.offset), order))
    return points


@lru_cache(maxsize=8)
def _open(source: _Opened) -> np.ndarray:
    return np.asarray(source.function())


def _run(
    kernel: Kernel,
    tasks: Sequence[Task],
    V: np.ndarray,
    X: _Opened | np.ndarray,
    Y: _Opened | np.ndarray,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
) -> list[PartialProduct]:
    """Run tasks on a worker, on blocks of the points only."""
    left, right = (_open(each) if isinstance(each, _Opened) else each for each in (X, Y))
    for name, points, shape in (("X", left, shapes[0]), ("Y", right, shapes[1])):
        if points.shape != shape:
            raise ValueError(f"{name} must be the same for every worker, of shape {shape}, got {points.shape}")
    with one_blas_thread():
        return [_block(kernel, task, V, left, right) for task in tasks]


def _block(kernel: Kernel, task: Task, V: np.ndarray, X: np.ndarray, Y: np.ndarray) -> PartialProduct:
    rows, columns = slice(*task.rows), slice(*task.columns)
    left, right = (np.asarray(points, dtype=V.dtype) for points in (X[rows], Y[columns]))
    return block_product(kernel, task, left, right, V[columns], V[rows] if task.mirrored else None)


def _set_timeout(seconds: float, dask_scheduler: Any) -> None:
    """Let tasks of a cluster without workers fail, instead of waiting for ever."""
    if dask_scheduler.no_workers_timeout is None:
        dask_scheduler.no_workers_timeout = seconds
