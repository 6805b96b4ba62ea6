"""Experiments of the papers with trained networks, each with the claims that it tests: one command for each paper.

Needs what trains networks and draws figures: `pip install "kdtheory[experiments]"`.
"""

from kdtheory.experiments.claims import Claim, claims_table
from kdtheory.experiments.experiment import Experiment, experiment_parser, experiment_script, run_and_draw
from kdtheory.experiments.programme import Programme

__all__ = ["Claim", "Experiment", "Programme", "claims_table", "experiment_parser", "experiment_script", "run_and_draw"]
