"""One BLAS thread for each of several Python threads, and how many of those there should be."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def usual_threads() -> int:
    """Cores that this process may use, at most as many as BLAS may."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if _one_blas_thread.holders:
        return 1
    limits = [library["num_threads"] for library in _controller().info()]
    return max(1, min([cores, *limits]))


class _OneBlasThread:
    """Context in which BLAS has one thread; the last of several users who leaves it restores the limit."""

    def __init__(self) -> None:
        self.holders = 0
        self._lock = threading.Lock()
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self.holders == 0:
                self._limit = _controller().limit(limits=1)
                self._limit.__enter__()
            self.holders += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self.holders -= 1
            if self.holders == 0:
                self._limit.__exit__(*exception)


_one_blas_thread = _OneBlasThread()


def one_blas_thread() -> _OneBlasThread:
    """Give the context in which BLAS has one thread."""
    return _one_blas_thread
