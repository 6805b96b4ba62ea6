"""From rows to numbers: what is left out and said, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from kdtheory.advice import Rows, make_table
from tests.tables import frame, table


def test_numbers_and_categories_are_told_apart():
    made = table(frame().assign(flag=[True, False] * 30, digits=["1", "2"] * 30))
    assert (made.numbers, made.categories) == (("x", "flag", "digits"), ("kind",))
    assert made.features["flag"].tolist() == [1.0, 0.0] * 30
    assert made.features["digits"].tolist() == [1.0, 2.0] * 30
    assert np.array_equal(made.target, frame()["y"])
    assert made.remarks == ("Of texts, encoded as one column for each: kind.",)
    assert (made.n_rows, made.n_incomplete, made.n_rows_of_file) == (60, 0, 60)


def test_rows_with_a_gap_are_left_out_and_counted():
    data = frame()
    data.loc[3, "x"] = data.loc[4, "y"] = np.nan
    data.loc[[3, 7], "kind"] = None
    made = table(data)
    assert (made.n_rows, made.n_incomplete) == (57, 3)
    assert np.array_equal(made.target, data["y"].drop([3, 4, 7]))
    assert "3 rows with a missing value left out (2 in column kind)." in made.remarks


def test_columns_that_say_nothing_are_left_out_and_named():
    data = frame()
    extra = {"unit": "m", "empty": np.nan, "again": data["x"], "answer": data["y"], "Unnamed: 0": np.arange(60)}
    made = table(data.assign(**extra))
    assert (made.numbers, made.categories) == (("x",), ("kind",))
    assert made.remarks == (
        "Left out as always the same: unit.",
        "Left out as empty: empty.",
        "Column again is a copy of x and was left out.",
        "Column answer equals the target and was left out.",
        "Column 0, without a name, counts the rows and was left out.",
        "Of texts, encoded as one column for each: kind.",
    )


def test_columns_are_left_out_on_request():
    assert table(drop=["kind"]).categories == ()
    assert table(drop=["x"]).numbers == ()


def test_repeated_rows_are_said():
    data = pd.concat([frame(), frame()[:2]])
    assert table(data).remarks[-1] == "2 rows repeat an earlier one: held-out errors then look too small."
    assert "1 row repeats an earlier one" in table(data[:-1]).remarks[-1]


def bad(**columns):
    return frame().assign(**columns)


def with_value(value, column="x", row=11):
    data = frame().astype({column: object})
    data.loc[row, column] = value
    return data


texts = [f"name {i}" for i in range(60)]
MISTAKES = {
    "a wrong target": (frame(), "X", "target must be the name of a column, got 'X': did you mean x"),
    "a target with a typing error": (bad(price=1), "prise", "got 'prise': did you mean price"),
    "a target like no column": (frame(), "zzz", "got 'zzz': the columns are x, kind, y"),
    "a target of texts": (frame(), "kind", "column kind must hold a number to predict"),
    "a constant target": (bad(y=0.1), "y", "target must vary, got the same value in all rows of column y: 0.1"),
    "text among numbers": (with_value("12 m"), "y", "column x must hold numbers, got '12 m' in row 12"),
    "text in the target": (with_value("?", "y"), "y", "column y must hold a number to predict"),
    "an infinite feature": (
        with_value(-np.inf),
        "y",
        "column x must hold numbers up to 1e100 in size, got -inf in row 12",
    ),
    "an infinite target": (with_value(np.inf, "y"), "y", "column y must hold numbers up to 1e100 in size, got inf"),
    "a huge number": (with_value(1e200), "y", "column x must hold numbers up to 1e100 in size, got 1e+200 in row 12"),
    "free texts": (bad(name=texts), "y", "at most 20 different texts of 5 rows each on average, got 60 in 60 rows"),
    "many gaps": (
        bad(z=[1.0] * 29 + [np.nan] * 31),
        "y",
        "at least half of the rows must be complete, got 31 of 60 with a missing value, most of them, 31 in column z",
    ),
    "an empty target": (bad(y=np.nan), "y", "60 of 60 with a missing value, most of them, 60 in column y"),
    "two rows": (frame()[:2], "y", "data must have at least 20 complete rows, got 2"),
    "nineteen rows": (frame()[:19], "y", "data must have at least 20 complete rows, got 19"),
    "no feature": (frame()[["y"]], "y", "data must have a column that varies besides the target, got none"),
    "constant features": (frame().assign(x=1.0, kind="a"), "y", "a column that varies besides the target, got none"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_table_that_cannot_be_learned_from_is_refused(kind):
    data, target, message = MISTAKES[kind]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        table(data, target)
    assert message in str(caught.value)


def test_columns_to_leave_out_must_be_there_and_not_the_target():
    with pytest.raises(ValueError, match="drop must be the name of a column, got 'kinds': did you mean kind"):
        table(drop=["kinds"])
    with pytest.raises(ValueError, match="drop must not hold the target, got 'y'"):
        table(drop=["y"])


def test_twenty_rows_are_enough():
    assert table(frame()[:20]).n_rows == 20


def test_a_column_that_counts_the_rows_is_used_and_said():
    frame = pd.DataFrame({"id": range(1000, 1030), "x": np.sin(range(30)), "y": np.cos(range(30))})
    table = make_table(Rows(frame, 30, {}), "y")
    assert table.numbers == ("id", "x")
    assert "Column id counts the rows: leave it out with --drop 'id' unless it means more." in table.remarks


def test_decimal_commas_within_quotes_are_named():
    frame = pd.DataFrame({"x": np.sin(range(30)), "y": ["1,5"] * 15 + ["2,5"] * 15})
    with pytest.raises(ValueError, match=r"got 1,5 in row 0: decimal commas need semicolons between columns$"):
        make_table(Rows(frame, 30, {}), "y")
