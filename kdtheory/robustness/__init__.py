"""Robustness to shifts of the data: how much better a model does on shifted data than its accuracy lets expect."""

from kdtheory.robustness.effective import Deviations, EffectiveRobustness, effective_robustness
from kdtheory.robustness.testbed import Testbed, read_testbed

__all__ = ["Deviations", "EffectiveRobustness", "Testbed", "effective_robustness", "read_testbed"]
