"""Students that rank labels: linear models of low rank, trained on labels, by distillation or double distillation."""

from kdtheory.ranking.experiment import METHODS, StudentComparison, compare_students
from kdtheory.ranking.linear import LinearRanker
from kdtheory.ranking.table import precision_table
from kdtheory.ranking.targets import (
    DistilledTargets,
    DoubleDistilledTargets,
    LogitDoubleDistilledTargets,
    OneHotTargets,
    RankingTargets,
)
from kdtheory.ranking.training import RankerConvergenceWarning, ranking_objective, train_ranker

__all__ = [
    "METHODS",
    "DistilledTargets",
    "DoubleDistilledTargets",
    "LinearRanker",
    "LogitDoubleDistilledTargets",
    "OneHotTargets",
    "RankerConvergenceWarning",
    "RankingTargets",
    "StudentComparison",
    "compare_students",
    "precision_table",
    "ranking_objective",
    "train_ranker",
]
