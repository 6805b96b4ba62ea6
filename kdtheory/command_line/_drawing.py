"""Scripts run in processes of their own, several at a time, which end with this one."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import multiprocessing
import os
import re
import signal
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import NamedTuple

from kdtheory.reproduced import Reproduced

ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "MPLBACKEND": "Agg",
    "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",  # of semaphores of processes that were killed
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # of whose memory each process would take most
}
"""Of the processes, where this one has nothing else: each would otherwise have a thread for every core."""


class Job(NamedTuple):
    """A script to run, and the arguments of its command line, some of which it may not know."""

    path: Path
    arguments: tuple[str, ...]
    may_be_wrong: bool
    """Whether what the user has given can be the reason for a ValueError."""


@dataclass(frozen=True)
class Outcome:
    """What has become of a job: numbers, or the reason why there are none.

    Attributes
    ----------
    numbers : tuple of Reproduced
    printed : str
    unknown : tuple of str
        Arguments that the script does not know.
    missing : str
        A library that is not installed.
    mistake : str
        What is wrong with the arguments, in one line.
    failure : str
        A traceback.
    seconds : float
        How long it took, where everything was drawn.
    """

    numbers: tuple[Reproduced, ...] = ()
    printed: str = ""
    unknown: tuple[str, ...] = ()
    missing: str = ""
    mistake: str = ""
    failure: str = ""
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        """Whether everything was drawn."""
        return not (self.missing or self.mistake or self.failure)


def run_all(jobs: Sequence[Job], n_processes: int) -> Generator[tuple[int, Outcome | None]]:
    """Run scripts in processes, and kill these if this one is interrupted.

    Parameters
    ----------
    jobs : sequence of Job
    n_processes : int
        How many of them run at a time.

    Yields
    ------
    int, Outcome or None
        Number of a job that begins, with None; or that has ended.
    """
    others = set(multiprocessing.active_children())
    waiting, running = deque(range(len(jobs))), dict[Future[Outcome], int]()
    with _environment(ENVIRONMENT):
        pool = _pool(n_processes)
        try:
            while waiting or running:
                while waiting and len(running) < n_processes:
                    number = waiting.popleft()
                    running[pool.submit(run_script, jobs[number])] = number
                    yield number, None
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                is_broken = any(isinstance(future.exception(), BrokenProcessPool) for future in done)
                for future in list(running) if is_broken else done:
                    yield running.pop(future), _outcome(future)
                if is_broken:
                    pool.shutdown()
                    pool = _pool(n_processes)
        finally:  # also when all is done: what a script has left running is not waited for
            for process in set(multiprocessing.active_children()) - others:
                _kill(process.pid)
            pool.shutdown(cancel_futures=True)


def run_script(job: Job) -> Outcome:
    """Run a script in this process, and write its figures where its arguments say."""
    printed, complaints = io.StringIO(), io.StringIO()
    begin = perf_counter()
    try:
        with redirect_stdout(printed), redirect_stderr(complaints):
            made = _load(job.path).SCRIPT.make(job.arguments)
        with redirect_stdout(io.StringIO()):
            _save(made.reproduction.figures, made.output)
    except ModuleNotFoundError as error:
        named = re.search(r"needs ([\w.-]+)", str(error))
        return Outcome(missing=named[1] if named else (error.name or str(error)).partition(".")[0])
    except SystemExit:
        return Outcome(mistake=complaints.getvalue().strip().rpartition("error: ")[2] or "it ended")
    except OSError as error:
        return Outcome(mistake=str(error))
    except Exception as error:
        if job.may_be_wrong and isinstance(error, ValueError):
            return Outcome(mistake=str(error))
        return Outcome(failure="".join(traceback.format_exception(error)))
    return Outcome(made.reproduction.numbers, printed.getvalue(), made.unknown, seconds=perf_counter() - begin)


def _save(figures: Mapping[str, object], folder: Path) -> None:
    import matplotlib.pyplot as plt  # which only processes that draw have loaded

    from kdtheory.figures import save_figures

    save_figures(figures, folder)  # type: ignore[arg-type]
    plt.close("all")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(2, "no script", str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pool(n_processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n_processes, mp_context=context, initializer=_leave_the_terminal)


def _leave_the_terminal() -> None:
    """Be the first of a group of processes, which a terminal does not interrupt, and which can be killed as a whole."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)


def _outcome(future: Future[Outcome]) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(failure="its process, or one beside it, was killed\n")


def _kill(pid: int | None) -> None:
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(pid, signal.SIGKILL)
        except (AttributeError, ProcessLookupError):  # no groups on this system, or it has not made its own yet
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes that are started meanwhile, where they are not set."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
