"""Teachers of growing depth
=========================

Deeper teachers are less calibrated, and their students hardly notice.

Figure 1 of Menon et al. (2020): teachers of growing depth, their accuracy, log-loss and calibration error, and beside
them the accuracy of one architecture of students. With perceptrons on Fashion-MNIST log-loss and calibration error
grow with the depth, from the first hidden layer on, and the accuracy hardly changes. Students are, if anything,
better for less calibrated teachers: the rank correlation of their accuracy with the teacher's log-loss is .34 ± .11
over depths (20 trials), of differences of a tenth of a point.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` perceptrons on 2,000 images of Fashion-MNIST, minutes on one core; the results are in
benchmarks/results/menon_2020.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER` keeps
finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.depth import DEPTH
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(DEPTH, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [DEPTH])

if __name__ == "__main__":
    SCRIPT.run()
