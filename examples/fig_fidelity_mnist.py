"""Students of LeNet-5 on MNIST
============================

A student of LeNet-5 comes to agree with its teacher on MNIST as it is shown more images without labels.

Figure 2 of Stanton et al. (2021): a teacher that was trained on 200 labelled images, and students of its own kind
that are told what it says of more and more images, beside a student of another teacher. With all 60,000 images they
agree on 97.5 ± .1 % of the test images (the paper has over 99 % with EMNIST added), and are about as accurate as the
teacher. Epochs are the same for all, as in the paper, so students of few images have few steps too.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` LeNet-5 on MNIST, ten minutes of one core for each of three trials; the results are in
benchmarks/results/stanton_2021.txt. `--results FOLDER` keeps finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.enlarging import MNIST
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(MNIST, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [MNIST])

if __name__ == "__main__":
    SCRIPT.run()
