"""Reports of how a student compares with its teacher, from the logits of both: a page, and its numbers in JSON.

Needs matplotlib and jinja2: `pip install "kdtheory[report]"`.
"""

import importlib.util

if importlib.util.find_spec("jinja2") is None or importlib.util.find_spec("matplotlib") is None:
    raise ModuleNotFoundError('kdtheory.report needs jinja2 and matplotlib: pip install "kdtheory[report]"')

from kdtheory.report.comparison import Report, report
from kdtheory.report.files import read_labels, read_logits
from kdtheory.report.numbers import Change, Group, LogitLogit, Mean, ModelScores, Share

__all__ = [
    "Change",
    "Group",
    "LogitLogit",
    "Mean",
    "ModelScores",
    "Report",
    "Share",
    "read_labels",
    "read_logits",
    "report",
]
