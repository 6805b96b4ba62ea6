"""Where a student starts
======================

A student that starts near its teacher ends there; from far away it ends in another place.

Figure 6 of Stanton et al. (2021): students that start at `λ·teacher + (1 − λ)·random`, their agreement and loss at
the end by λ; students from random weights by SGD and by Adam for ever longer; and the loss on planes through the
teacher, the start and the end of a student. With LeNet-5 on 1,000 images of Fashion-MNIST (two trials) the loss at
the end falls tenfold between λ = .375 and .5, and agreement on test images jumps there from .88 to .92, to reach .96
at .75; on its own images all students agree with their teacher on 98 % or more, and after 160 epochs on every one,
which the paper's residual networks with crops and flips do not in thousands.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` LeNet-5 on 1,000 images of Fashion-MNIST, minutes on one core for each of three trials; the results are in
benchmarks/results/stanton_2021.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER`
keeps finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.initialisation import INITIALISATION
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(INITIALISATION, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [INITIALISATION])

if __name__ == "__main__":
    SCRIPT.run()
