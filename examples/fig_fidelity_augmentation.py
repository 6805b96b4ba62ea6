"""What a student is shown besides
===============================

What a student is shown beside the images of its teacher: what makes it better, and what more like its teacher.

Figures 3, 5 (right), 8 and 12 of Stanton et al. (2021): students of an ensemble with the teacher's own crops and
flips, at temperature 1 and 4, and with rotations, vertical flips, jitter of colours, all three, noise, images of
another domain (here their pixels are scrambled), generated images (here new ones of the same kind), or mixtures. With
LeNet-5 on 1,000 images of Fashion-MNIST (two trials, which decide little) students agree with what they are shown 7.4
± .1 points less for mixtures and about 8 less for all three augmentations together, and these cost 2.3 ± .1 points of
accuracy; the baseline agrees most on test images, where the paper has mixtures.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` LeNet-5 on 1,000 images of Fashion-MNIST, minutes on one core for each of three trials; the results are in
benchmarks/results/stanton_2021.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER`
keeps finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.augmenting import AUGMENTATION
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(AUGMENTATION, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [AUGMENTATION])

if __name__ == "__main__":
    SCRIPT.run()
