"""A path on a Dask cluster
========================

A self-distilled kernel ridge path on a Dask cluster, from points in a file that every worker opens itself.

    python examples/selfdistill_on_a_cluster.py                        # two processes of this machine
    dask scheduler --scheduler-file /shared/cluster.json &             # or: one scheduler,
    dask worker --nthreads 1 --scheduler-file /shared/cluster.json &   # as many workers as there are cores, and
    python examples/selfdistill_on_a_cluster.py --scheduler-file /shared/cluster.json --points /shared/points.npy

The file that `--points` names is made if it does not exist, and used as it is if it does. Workers may die and others
join while this runs: the numbers that are printed do not change.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from distributed import Client, LocalCluster

from kdtheory import Ridge, Spectrum, selfdistill_closed_form
from kdtheory.distributed import DistributedGramOperator
from kdtheory.kernels import RBF

KERNEL = RBF(gamma=0.025)
N_FEATURES, N_TEST, N_STEPS, LABEL_WEIGHT = 20, 1000, 3, 0.3
RIDGES = (1e-4, 3e-5, 1e-5)
"""Over the number of points."""


def signal(points: np.ndarray) -> np.ndarray:
    """Give the function that is to be learnt."""
    return np.sin(points[:, 0] * points[:, 1]) + points[:, 2] + 0.5 * points[:, 3] ** 2


def main(client: Client, path: Path, n_points: int = 20_000) -> dict[float, np.ndarray]:
    """Print and return the test error of every step for every ridge."""
    of_points, of_noise, of_new = (np.random.default_rng(seed) for seed in range(3))
    if not path.exists():
        with path.open("wb") as file:
            np.save(file, of_points.standard_normal((n_points, N_FEATURES)))
    points, new = np.load(path, mmap_mode="r"), of_new.standard_normal((N_TEST, N_FEATURES))
    if points.ndim != 2 or points.shape[1] != N_FEATURES:
        raise ValueError(f"{path} must hold points of {N_FEATURES} features, got shape {points.shape}")
    y = signal(points) + 0.5 * of_noise.standard_normal(len(points))
    operator = DistributedGramOperator(KERNEL, points, client=client)
    spectrum = Spectrum.lanczos(operator, y, 1000, filter_=Ridge(min(RIDGES) * len(points)), tolerance=1e-5)
    print(f"{len(points):,d} points, {spectrum.eigenvalues.size} modes, {len(client.nthreads())} workers")
    print("root mean squared error of steps 1, 2, … on new points")
    cross, errors = KERNEL.operator(new, points), {}
    for ridge in RIDGES:
        path_of_steps = selfdistill_closed_form(
            spectrum, y, ridge=ridge * len(points), n_steps=N_STEPS, label_weight=LABEL_WEIGHT
        )
        errors[ridge] = np.sqrt(np.mean((path_of_steps.predict(cross) - signal(new)) ** 2, axis=1))
        print(f"ridge/n = {ridge:g}: ", " ".join(f"{error:.6f}" for error in errors[ridge]))
    return errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler-file", help="of a running cluster; default: two processes of this machine")
    parser.add_argument("--points", type=Path, help="npy file that all workers see; default: a temporary one")
    parser.add_argument("--n-points", type=int, default=20_000, help="for a file that is made (default: 20,000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.points or Path(folder) / "points.npy"
        if options.scheduler_file is None:
            local = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
            with local as cluster, Client(cluster) as client:
                main(client, path, options.n_points)
        else:
            if not Path(options.scheduler_file).exists():
                parser.error(f"there is no {options.scheduler_file}: start `dask scheduler --scheduler-file` first")
            with Client(scheduler_file=options.scheduler_file) as client:
                main(client, path, options.n_points)
