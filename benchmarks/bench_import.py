"""Claim: `import kdtheory` adds at most 0.3 seconds to `import numpy, scipy.linalg`.

Fresh interpreters, each of which times both imports, one after the other.
"""

import statistics
import subprocess
import sys

TIMED = """
from time import perf_counter
start = perf_counter()
import numpy, scipy.linalg
between = perf_counter()
import kdtheory
print(between - start, perf_counter() - between)
"""


def test_import(benchmark):
    before, added = [], []

    def fresh_interpreter():
        printed = subprocess.run([sys.executable, "-c", TIMED], check=True, capture_output=True, text=True).stdout
        for seconds, measured in zip(printed.split(), (before, added), strict=True):
            measured.append(float(seconds))

    benchmark.pedantic(fresh_interpreter, rounds=15)
    benchmark.extra_info |= {
        "peer": "import numpy, scipy.linalg",
        "peer_median_seconds": round(statistics.median(before), 4),
        "added_median_seconds": round(statistics.median(added), 4),
        "added_max_seconds": round(max(added), 4),
    }
