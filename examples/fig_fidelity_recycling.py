"""The teacher's images, others, or both
=====================================

Students on the images of their teacher, on others, or on both, and what they have of it.

Figure 4 and figure 5 (middle) of Stanton et al. (2021): teachers on one half of the images, and students on this
half, on the other, and on both, by the number of networks in the teacher and by the temperature. With LeNet-5 on
Fashion-MNIST students on other images are nearer to their teacher in divergence, not in agreement, and less accurate
by .9 ± .1 points; those on both are the most accurate and agree most, in all trials, with twice the images and steps.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` LeNet-5 on Fashion-MNIST, minutes on one core for each of four trials; the results are in
benchmarks/results/stanton_2021.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER`
keeps finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.recycling import RECYCLING
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(RECYCLING, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [RECYCLING])

if __name__ == "__main__":
    SCRIPT.run()
