"""Round after round
=================

Rounds of self-distillation do not add up, and a chain together is no better than independent networks.

Tables 1 to 3 and figures 2 and 6 of Pham et al. (2022): a teacher and three students one after the other, at three
weights of the labels, beside sharpness-aware minimisation; the accuracy of the networks of a chain together (a born-
again ensemble) beside that of as many independent ones; and how far logits move from round to round. With perceptrons
on Fashion-MNIST no student gains on its teacher (30 trials, .0004 at most), sharpness-aware minimisation does (.006);
independent networks and those of a chain are equally good together, where the paper finds independent ones better;
and logits move less and less.

Built in: the digits of scikit-learn and small perceptrons, too few trials to decide anything. With `--full --data
FOLDER` perceptrons on 2,000 images of Fashion-MNIST, minutes on one core; the results are in
benchmarks/results/pham_2022.txt. `--paper` takes CIFAR-10 and residual networks: for a GPU. `--results FOLDER` keeps
finished trials.
"""

from __future__ import annotations

from typing import Any

from kdtheory.experiments import experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.rounds import ROUNDS
from kdtheory.figures import Reproduction


def main(**how: Any) -> Reproduction:
    """Print what the trials say of every claim, and return them beside the figures."""
    return run_and_draw(ROUNDS, **how)


SCRIPT = experiment_script(main, experiment_parser(__doc__), [ROUNDS])

if __name__ == "__main__":
    SCRIPT.run()
