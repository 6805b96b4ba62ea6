"""Ensembles as teachers
=====================

Larger ensembles are better teachers, up to a point, and easier to be like.

Figures 9, 10, 13 and 14 of Stanton et al. (2021) and figure 3 of Pham et al. (2022): teachers of 1 to 12 networks,
students at two temperatures, with labels of growing weight, and of growing width. With perceptrons on Fashion-MNIST
twelve networks are .5 ± .1 points better than one, and their student agrees with them 1.2 ± .1 points more than the
student of one with that; it is no more accurate, and no student is better than its teacher. Labels make students
agree less.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` perceptrons on 2,000 images of Fashion-MNIST, minutes on one core; the results are in
benchmarks/results/stanton_2021.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER`
keeps finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.ensemble_teachers import ENSEMBLES
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(ENSEMBLES, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [ENSEMBLES])

if __name__ == "__main__":
    SCRIPT.run()
