"""What every benchmark shares: a slimmed results file that says on what it was measured, and nothing of whose it is."""

import platform
import statistics
import time
from pathlib import Path

import array_api_compat
import numpy
import scipy
import sklearn


def seconds(function, *arguments):
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def median_ratio(ours, theirs):
    """Median of the ratios of runs that were made in turns, so that both met the same noise."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def most_memory():
    """Most bytes that this process has held at once."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def pytest_benchmark_update_machine_info(config, machine_info):
    del config
    cpu = machine_info["cpu"]
    machine_info.clear()
    machine_info |= {
        "processor": cpu.get("brand_raw", platform.processor()),
        "cores": cpu.get("count"),
        "python": platform.python_version(),
        **{module.__name__: module.__version__ for module in (numpy, scipy, sklearn, array_api_compat)},
    }


def pytest_benchmark_update_json(config, benchmarks, output_json):
    del config, benchmarks
    output_json.pop("commit_info", None)
    output_json["benchmarks"] = [
        {
            "name": entry["name"],
            "rounds": entry["stats"]["rounds"],
            "median_seconds": round(entry["stats"]["median"], 4),
            **entry["extra_info"],
        }
        for entry in output_json["benchmarks"]
    ]
