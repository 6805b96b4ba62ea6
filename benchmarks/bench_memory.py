"""Claim: a whole search of 3,000 points takes at most 4 n² doubles, kernel matrix included, on Linux.

Each method runs in a process of its own; the most memory that it held at once is the kernel's own count.
"""

import multiprocessing
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from benchmarks.bench_selection import DATA, METHODS, data
from benchmarks.conftest import most_memory


def peak(method, decay, n_points, connection):
    """Send the most memory over that before the search, in n² doubles."""
    X, y, _, _, gamma = data(decay, n_points)
    with threadpool_limits(2):
        METHODS[method](X[:200], y[:200], gamma)  # what libraries load on first use
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = most_memory()
        METHODS[method](X, y, gamma)
    connection.send(round((most_memory() - before) / (8 * n_points**2), 2))


def peak_in_new_process(method, decay, n_points):
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=peak, args=(method, decay, n_points, sender))
    process.start()
    value = receiver.recv()
    process.join()
    return value


@pytest.mark.parametrize("n_points", [1000, 3000, 6000])
@pytest.mark.parametrize("decay", list(DATA))
def test_memory_of_whole_searches(benchmark, decay, n_points):
    peaks = {}

    def in_turns():
        peaks.update({name: peak_in_new_process(name, decay, n_points) for name in METHODS})

    benchmark.pedantic(in_turns, rounds=1)
    benchmark.extra_info |= {"n_points": n_points, "spectrum": decay, "peak_in_n2_doubles": peaks}
