"""Is robustness inherited?
========================

A teacher that has seen a shift is robust to it; a student that has not does not inherit that from clean images.

Figure 9 of Pham et al. (2022) with shifts that can be made here: a testbed of networks gives the line of accuracies
on corrupted images against those on clean ones (on probit axes); a teacher that was trained on corrupted images as
well is far above it for what it has seen, and its students learn from its say, and from labels with a growing weight,
on clean images alone. On Fashion-MNIST the teacher is 28 points beyond the line for rotated images, its students are
on it at every label weight: the paper's finding for CLIP is not seen in perceptrons. For tables of others see
`kdtheory.robustness.read_testbed`.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` perceptrons on 2,000 images of Fashion-MNIST, minutes on one core; the results are in
benchmarks/results/pham_2022.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER` keeps
finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.shifts import ROBUSTNESS
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(ROBUSTNESS, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [ROBUSTNESS])

if __name__ == "__main__":
    SCRIPT.run()
