"""Advice on a table: whether distilling a kernel ridge regression into itself pays for these rows, and the model.

Needs pandas, scikit-learn, skops, tqdm and matplotlib: `pip install "kdtheory[advice]"`.
"""

from importlib.util import find_spec

if missing := [name for name in ("pandas", "sklearn", "skops", "tqdm", "matplotlib") if not find_spec(name)]:
    raise ModuleNotFoundError(f'kdtheory.advice needs {missing[0]}: pip install "kdtheory[advice]"')

from kdtheory.advice.advising import Advice, advise
from kdtheory.advice.choosing import Gain
from kdtheory.advice.output import write_advice
from kdtheory.advice.reading import Rows, read_rows
from kdtheory.advice.table import Table, make_table

__all__ = ["Advice", "Gain", "Rows", "Table", "advise", "make_table", "read_rows", "write_advice"]
