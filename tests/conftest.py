"""One BLAS thread for each process, double precision and four devices in JAX, and reproducible hypothesis examples."""

import os
import signal
import threading
from importlib.metadata import version

import pytest
from hypothesis import HealthCheck, Phase, settings

XLA_FLAGS = [
    "--xla_force_host_platform_device_count=4",
    "--xla_backend_optimization_level=0",  # most of the time of tests is compilation
    "--xla_llvm_disable_expensive_passes=true",
]
if version("jaxlib").startswith("0.10."):  # older and newer ones abort on flags that they do not know
    XLA_FLAGS.append("--xla_cpu_use_fusion_emitters=false")  # compiles a third faster

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", " ".join(XLA_FLAGS))
os.environ.setdefault("MPLBACKEND", "Agg")

if threading.current_thread() is threading.main_thread():
    # A shell lets its background jobs ignore interrupts, and so would the processes that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "reproducible", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(  # for runs that repeat the tests, or slow them down; counterexamples stay as they are found
    "brief", settings.get_profile("reproducible"), max_examples=5, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def drawn():
    """Figures, printed lines and numbers of every example."""
    from tests.examples import Drawings  # loads JAX, which reads the variables above

    return Drawings()
