"""Gram operators on a cluster of real processes: the same bits as one process, whatever dies on the way."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import cloudpickle
import numpy as np
import pytest

from kdtheory import Ridge, Spectrum, fit_filter, selfdistill_closed_form, solve_ridge
from kdtheory.kernels import RBF, Laplace

distributed = pytest.importorskip("distributed")
from distributed import Client  # noqa: E402

from kdtheory.distributed import DistributedGramOperator  # noqa: E402
from tests.examples import load_example  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
]
cloudpickle.register_pickle_by_value(sys.modules[__name__])


@dataclass(frozen=True)
class SlowRBF(RBF):
    """Takes its time with every block, so that workers can be killed in the middle of one."""

    def _evaluator(self, X, Y):
        time.sleep(0.1)
        return super()._evaluator(X, Y)


class Cluster:
    """A scheduler and workers as one starts them by hand, `dask scheduler` and `dask worker`."""

    def __init__(self, folder, n_workers):
        self.folder = folder
        self.workers = []
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", self._file)
        for _ in range(n_workers):
            self.add_worker()

    @property
    def _file(self):
        return str(self.folder / "scheduler.json")

    def _start(self, *command):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *command],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self):
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60"]
        self.workers.append(self._start("worker", "--scheduler-file", self._file, *options))

    def kill(self, number):
        self.workers[number].send_signal(signal.SIGKILL)

    def close(self):
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@contextlib.contextmanager
def cluster_of(folder, n_workers):
    cluster = Cluster(folder, n_workers)
    try:
        with Client(scheduler_file=cluster._file, timeout=60) as client:
            client.wait_for_workers(n_workers, timeout=60)
            yield cluster, client
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    with cluster_of(tmp_path_factory.mktemp("cluster"), 2) as both:
        yield both


def data(n_points=5000, n_features=3, n_outputs=2):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_points, n_features))
    return X, rng.standard_normal((n_points, n_outputs))


def columns_of(path):
    return np.load(path, mmap_mode="r")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", [RBF(gamma=0.3), Laplace(gamma=0.2)])
def test_products_have_the_bits_of_one_process(pair, kernel, dtype):
    X, V = (each.astype(dtype) for each in data())
    operator = DistributedGramOperator(kernel, X, client=pair[1])
    assert len(operator._jobs()) > 2
    np.testing.assert_array_equal(operator @ V, kernel.operator(X) @ V)
    across = DistributedGramOperator(kernel, X[:700], X, client=pair[1])
    np.testing.assert_array_equal(across @ V, kernel.operator(X[:700], X) @ V)


def test_workers_open_files_and_call_functions(pair, tmp_path):
    X, V = data()
    path = tmp_path / "points.npy"
    np.save(path, X)
    expected = RBF(gamma=0.3).operator(X) @ V
    for points in (np.load(path, mmap_mode="r"), lambda: columns_of(path)):
        operator = DistributedGramOperator(RBF(gamma=0.3), points, client=pair[1])
        assert not isinstance(operator._sources[0], np.ndarray)
        np.testing.assert_array_equal(operator @ V, expected)
    part = np.load(path, mmap_mode="r")[1000:]
    operator = DistributedGramOperator(RBF(gamma=0.3), part, client=pair[1])
    np.testing.assert_array_equal(operator @ V[1000:], RBF(gamma=0.3).operator(X[1000:]) @ V[1000:])
    other = iter([X, X[:10], X[:10], X[:10]])
    operator = DistributedGramOperator(RBF(gamma=0.3), lambda: next(other), client=pair[1])
    with pytest.raises(ValueError, match=r"X must be the same for every worker, of shape \(5000, 3\)"):
        operator @ V


@pytest.mark.filterwarnings("ignore:a filter has the residual:kdtheory.spectrum.lanczos.LanczosWarning")
def test_spectra_run_on_it(pair):
    X, y = data()
    operator = DistributedGramOperator(RBF(gamma=0.3), X, client=pair[1])
    there, here = (Spectrum.lanczos(each, y, 4) for each in (operator, RBF(gamma=0.3).operator(X)))
    np.testing.assert_array_equal(there.eigenvectors, here.eigenvectors)
    np.testing.assert_array_equal(fit_filter(there, y, Ridge(1.0)).dual_coef, fit_filter(here, y, Ridge(1.0)).dual_coef)
    landmarks = Spectrum.nystrom(operator, n_components=20)
    np.testing.assert_array_equal(landmarks.eigenvectors, Spectrum.nystrom(RBF(gamma=0.3), X, 20).eigenvectors)
    solved = [solve_ridge(each, y, 1.0, preconditioner=landmarks) for each in (operator, RBF(gamma=0.3).operator(X))]
    np.testing.assert_array_equal(solved[0].dual_coef, solved[1].dual_coef)


def kill_one(cluster):
    cluster.kill(0)


def replace_all(cluster):
    cluster.kill(0)
    cluster.kill(1)
    cluster.add_worker()


@pytest.mark.parametrize("disaster", [kill_one, replace_all])
def test_a_solve_goes_on_with_the_same_bits_when_workers_die(tmp_path, disaster):
    X, y = data(n_points=4000, n_outputs=1)
    expected = Spectrum.lanczos(RBF(gamma=0.3).operator(X), y, 4).eigenvectors
    with cluster_of(tmp_path, 2) as (cluster, client):
        operator = DistributedGramOperator(SlowRBF(gamma=0.3), X, client=client)
        products = []
        run = operator._matmat

        def counted(block):
            products.append(time.monotonic())
            if len(products) == 3:
                threading.Timer(0.15, disaster, [cluster]).start()  # while the third product is under way
            return run(block)

        operator._matmat = counted
        found = Spectrum.lanczos(operator, y, 4).eigenvectors
        assert len(products) == 4
        assert cluster.workers[0].wait(timeout=10) == -signal.SIGKILL
    np.testing.assert_array_equal(found, expected)


def test_a_cluster_without_workers_is_an_error(tmp_path):
    X, y = data(n_points=3000)
    with cluster_of(tmp_path, 1) as (cluster, client):
        operator = DistributedGramOperator(SlowRBF(gamma=0.3), X, client=client, no_workers_timeout=1.5)
        threading.Timer(0.15, cluster.kill, [0]).start()
        with pytest.raises(
            RuntimeError, match=r"client must have a cluster with workers, got .* without any for 1\.5 s"
        ):
            operator @ y
        with pytest.raises(RuntimeError, match="client must have a cluster with workers"):
            DistributedGramOperator(SlowRBF(gamma=0.3), X, client=client, no_workers_timeout=0.5)


def test_bad_input(pair):
    X, _ = data(100)
    with pytest.raises(TypeError, match=r"client must be a distributed\.Client, got None"):
        DistributedGramOperator(RBF(), X, client=None)
    with pytest.raises(ValueError, match="no_workers_timeout must be > 0, got 0"):
        DistributedGramOperator(RBF(), X, client=pair[1], no_workers_timeout=0)
    X[3, 1] = np.nan
    with pytest.raises(TypeError, match="kernel must be a Kernel of kdtheory.kernels, got 'rbf'"):
        DistributedGramOperator("rbf", X[:3], client=pair[1])
    with pytest.raises(ValueError, match="X must be finite, got nan in row 3, column 1"):
        DistributedGramOperator(RBF(), X, client=pair[1])


def test_a_closed_client_is_named(pair):
    with Client(pair[1].scheduler.address) as client:
        operator = DistributedGramOperator(RBF(), data(10)[0], client=client)
    for call in (lambda: operator @ np.ones(10), lambda: DistributedGramOperator(RBF(), data(10)[0], client=client)):
        with pytest.raises(RuntimeError, match="client must be open, got one that is closed"):
            call()


def test_the_example_gives_what_one_process_gives(pair, tmp_path, capsys):
    example = load_example("selfdistill_on_a_cluster")
    errors = example.main(pair[1], tmp_path / "points", 300)
    assert "300 points" in capsys.readouterr().out
    again = example.main(pair[1], tmp_path / "points", 10)
    of_points, of_noise, of_new = (np.random.default_rng(seed) for seed in range(3))
    X, new = of_points.standard_normal((300, 20)), of_new.standard_normal((1000, 20))
    y = example.signal(X) + 0.5 * of_noise.standard_normal(300)
    K, K_new = example.KERNEL.gram(X), example.KERNEL.gram(new, X)
    for ridge, found in errors.items():
        path = selfdistill_closed_form(K, y, ridge=300 * ridge, n_steps=3, label_weight=example.LABEL_WEIGHT)
        expected = np.sqrt(np.mean((path.predict(K_new) - example.signal(new)) ** 2, axis=1))
        np.testing.assert_allclose(found, expected, rtol=1e-3)
        np.testing.assert_array_equal(again[ridge], found)
    np.save(tmp_path / "other.npy", X[:, :5])
    with pytest.raises(ValueError, match=r"must hold points of 20 features, got shape \(300, 5\)"):
        example.main(pair[1], tmp_path / "other.npy")
