"""Are students flatter?
=====================

Students of perceptrons are sharper than their teachers, not flatter; sharpness-aware minimisation is flatter.

Figures 4, 5, 7, 8 and 10 to 16 and tables 4 and 5 of Pham et al. (2022): trace and largest eigenvalue of the Hessian
of the mean cross-entropy of the labels, its spectrum, its largest eigenvalues, and the loss on a random plane with
filter normalisation, for a teacher, students one after the other, and sharpness-aware minimisation. With perceptrons
on Fashion-MNIST, round 1 has a trace a third higher than its teacher, in all trials, and a cross-entropy of the
labels half as high again (.02); sharpness-aware minimisation, whose loss is .15, is the flattest. That says nothing
of convolutional networks with more data, which the paper has.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` perceptrons on 1,000 images of Fashion-MNIST, minutes on one core; the results are in
benchmarks/results/pham_2022.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER` keeps
finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.curvature import FLATNESS
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(FLATNESS, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [FLATNESS])

if __name__ == "__main__":
    SCRIPT.run()
