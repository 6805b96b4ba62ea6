"""`import kdtheory` stays light: its own cost in seconds is measured in benchmarks/bench_import.py."""

import subprocess
import sys

import kdtheory

HEAVY = ["sklearn", "matplotlib", "jax", "numba", "torch", "dask", "scipy.optimize", "scipy.stats"]


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, kdtheory; print([name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_every_public_name_exists_and_is_documented():
    assert sorted(kdtheory.__all__) == kdtheory.__all__
    for name in kdtheory.__all__:
        assert len(getattr(kdtheory, name).__doc__ or "") > 60, name
