"""The comparison of students that rank labels: its experiment, its table and its example."""

import joblib
import numpy as np
import pytest
from scipy.sparse import csr_array

from kdtheory.ranking import (
    METHODS,
    DistilledTargets,
    DoubleDistilledTargets,
    LogitDoubleDistilledTargets,
    OneHotTargets,
    compare_students,
    precision_table,
    train_ranker,
)
from kdtheory.retrieval import LabelledRows
from tests.examples import call_example, load_example
from tests.labelled_rows import random_rows, write
from tests.test_ranking import comparison

SEED = 5
SETTINGS = {"teacher_width": 4, "student_width": 2, "penalties": (1e-3, 0.03, 0.3), "max_iterations": 25}


def trained_directly(train, judge, targets, *, width, start):
    """Of one ranker for each penalty the best on some rows, its number, and how many did not converge."""
    rankers = [
        train_ranker(train, targets, width=width, penalty=penalty, max_iterations=25, random_state=start)
        for penalty in SETTINGS["penalties"]
    ]
    best = int(np.argmax([ranker.precision(judge, [1])[0] for ranker in rankers]))
    return rankers[best], best, sum(not ranker.converged for ranker in rankers)


@pytest.mark.filterwarnings("ignore::kdtheory.ranking.RankerConvergenceWarning")
def test_every_method_is_a_ranker_of_its_targets_chosen_on_the_validation_rows():
    """The labels of the validation rows are those that the training rows lack, so that training rows choose others."""
    train, test = random_rows(11, n=60), random_rows(12, n=200)
    validation = LabelledRows(train.features, csr_array(1.0 - train.labels.toarray()))
    found = compare_students(train, validation, test, scale=2.0, ks=[1, 2, 3], random_state=SEED, **SETTINGS)
    teacher_start, student_start = np.random.default_rng(SEED).integers(2**32, size=2).tolist()
    teacher, *first = trained_directly(train, validation, OneHotTargets(), width=4, start=teacher_start)
    models, chosen, n_unconverged = [teacher], [first[0]], [first[1]]
    for targets in (
        OneHotTargets(),
        DistilledTargets(teacher),
        DoubleDistilledTargets(teacher),
        LogitDoubleDistilledTargets(teacher, 2.0),
    ):
        model, best, count = trained_directly(train, validation, targets, width=2, start=student_start)
        assert best != trained_directly(train, train, targets, width=2, start=student_start)[1]
        models, chosen, n_unconverged = [*models, model], [*chosen, best], [*n_unconverged, count]
    expected = np.array([model.precision(test, [1, 2, 3]) for model in models])
    assert len(np.unique(expected, axis=0)) == len(METHODS)  # none could stand in for another
    np.testing.assert_array_equal(found.precisions, expected)
    np.testing.assert_array_equal(found.penalties, np.take(SETTINGS["penalties"], chosen))
    np.testing.assert_array_equal(found.n_unconverged, n_unconverged)
    np.testing.assert_array_equal(found.candidates, SETTINGS["penalties"])
    assert 0 < sum(n_unconverged) < len(METHODS) * len(SETTINGS["penalties"])


def test_the_table_has_means_penalties_and_models_that_stopped():
    precisions = np.zeros((2, 5, 1))
    precisions[:, 1, 0], precisions[:, 2, 0] = [0.1, 0.3], [0.2, 0.6]
    lines = precision_table([comparison(precisions[0]), comparison(precisions[1], 0.1, 2)], ks=[1]).splitlines()
    assert lines[0].split("  ")[0] == "Method"
    assert lines[0].split()[1:] == ["P@1", "Penalties", "Not", "converged"]
    assert [line[:44].strip() for line in lines[1:6]] == list(METHODS)
    assert lines[2][44:].split() == ["0.2000", "±", "0.1000", "0.01", "…", "0.1", "2", "of", "6"]
    assert lines[3][44:].split()[:3] == ["0.4000", "±", "0.2000"]
    assert lines[6] == "Penalties to choose from: 0.01, 0.1, 1"


def test_paired_differences_are_those_of_the_methods_they_name():
    first, second = np.array([0.9, 0.1, 0.3, 0.7, 0.15]), np.array([0.9, 0.2, 0.3, 0.9, 0.05])
    lines = precision_table([comparison(first[:, None]), comparison(second[:, None])], ks=[1]).splitlines()[-4:]
    short = {"student": 1, "distillation": 2, "double (1 − p)": 3, "double (1 − sigmoid)": 4}
    for line in lines:
        minuend, _, subtrahend = line[:44].strip().rpartition(" − ")
        one, other = (each[short[minuend]] - each[short[subtrahend]] for each in (first, second))
        assert line[44:].strip() == f"{(one + other) / 2:+.4f} ± {abs(one - other) / 2:.4f}"
    assert len({line[:44] for line in lines}) == 4


def test_tables_of_one_seed_or_another_shape_are_refused():
    with pytest.raises(ValueError, match="comparisons must hold at least 2 seeds, for standard errors, got 1"):
        precision_table([comparison(np.zeros((5, 3)))])
    for shape in ((4, 3), (5, 2), (5,)):
        with pytest.raises(ValueError, match=r"precisions must have the shape \(5, 3\), got"):
            precision_table([comparison(np.zeros((5, 3))), comparison(np.zeros(shape))])


def test_the_example_prints_the_table_of_the_built_in_task(capsys):
    comparisons = load_example("table_double_distillation").main(quick=True)
    assert capsys.readouterr().out == precision_table(comparisons) + "\n"
    precisions = np.array([each.precisions for each in comparisons])
    assert precisions.shape == (2, 5, 3)
    assert np.all(precisions <= 1 / np.array([1, 3, 5]))
    assert np.all(precisions[:, 0, 0] > 0.3)  # by chance: 0.01


def test_quick_changes_only_what_is_not_given(capsys, tmp_path):
    data = write(tmp_path / "train.txt", random_rows(13, n=40))
    settings = {"n_seeds": 3, "penalties": [0.3, 0.5], "max_iterations": 500, "teacher_width": 3}
    comparisons = load_example("table_double_distillation").main(data, quick=True, **settings)
    assert len(comparisons) == 3
    np.testing.assert_array_equal(comparisons[0].candidates, [0.3, 0.5])
    assert capsys.readouterr().out.count("0 of 6") == len(METHODS)  # with 50 iterations some would not converge


def test_seeds_can_be_run_at_the_same_time(tmp_path):
    data = write(tmp_path / "train.txt", random_rows(13, n=40))
    main = load_example("table_double_distillation").main
    alone = main(data, quick=True)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        together = main(data, quick=True)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.precisions, other.precisions)


def test_the_example_refuses_what_cannot_be_before_any_work(tmp_path, monkeypatch, capsys):
    few = write(tmp_path / "few.txt", random_rows(0, n=5)[:3])
    example = load_example("table_double_distillation")
    with pytest.raises(ValueError, match="at least 4 rows: too few rows to split, got 3"):
        example.main(few)
    with pytest.raises(ValueError, match="test must come with data"):
        example.main(test=few)
    with pytest.raises(ValueError, match="n_trials must be >= 2, for standard errors, got 1"):
        example.main(n_seeds=1)
    for arguments, message in (
        (["--test", few], "--test FILE needs --data FILE, the rows to train on"),
        (["--seeds", 1], "argument --seeds: must be an integer >= 2, for standard errors, got '1'"),
        (["--iterations", 0], "argument --iterations: must be an integer >= 1, got '0'"),
    ):
        assert call_example("table_double_distillation", *arguments, monkeypatch=monkeypatch) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("with_test", [False, True])
def test_the_example_reads_files(with_test, capsys, tmp_path):
    data = write(tmp_path / "train.txt", random_rows(13, n=40))
    test = write(tmp_path / "test.txt", random_rows(14, n=20)) if with_test else None
    comparisons = load_example("table_double_distillation").main(data, test, teacher_width=3, quick=True)
    assert [each.precisions.shape for each in comparisons] == [(5, 3)] * 2
    assert "Student + distillation" in capsys.readouterr().out
