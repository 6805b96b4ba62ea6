"""More images for the student
===========================

More images make a student agree more with its teacher; whether that makes it better is another matter.

Figures 1 and 5 (left) of Stanton et al. (2021): students of one network and of an ensemble of three, on more and more
images without labels; their accuracy, and how often they agree with their teacher on test images and on their own,
beside students of other teachers. With LeNet-5 on Fashion-MNIST, 4,000 images instead of 1,000 lift agreement with
one network by 3.3 ± .2 points and with three by 1.3 ± .1; students of other teachers agree 5.6 and 2.9 points less.
No loss of accuracy is seen where agreement grows, nor much of the fall of agreement on their own images.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` LeNet-5 on Fashion-MNIST, minutes on one core for each of three trials; the results are in
benchmarks/results/stanton_2021.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER`
keeps finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.enlarging import ENLARGING
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(ENLARGING, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [ENLARGING])

if __name__ == "__main__":
    SCRIPT.run()
