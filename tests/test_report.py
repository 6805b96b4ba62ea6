"""Reports of a student and its teacher: their numbers are those of the metrics."""

import json
import os
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from scipy.special import softmax

from kdtheory import fidelity
from kdtheory.figures import draw_logit_logit
from kdtheory.report import Report, report
from kdtheory.report.drawing import Picture
from kdtheory.report.numbers import Mean
from kdtheory.report.output import write_together
from kdtheory.report.sentences import SPACE, verdict
from tests.reports import Page, a_page, a_report, logits


@pytest.fixture(scope="module")
def made():
    return a_report()


@pytest.fixture(scope="module")
def page():
    return a_page()


@pytest.fixture
def axes():
    return Figure().add_subplot()


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without figures, which take a second."""
    pictures = dict.fromkeys(("top_class", "true_class", "teacher", "student", "dissection"), Picture("", "", 1, 1))
    monkeypatch.setattr("kdtheory.report.page.draw", lambda _: pictures)


def test_every_number_is_that_of_the_metrics(made):
    teacher, student, labels, controls = logits()
    numbers = json.loads(made.to_json())
    for name, model in (("teacher", teacher), ("student", student)):
        scores = numbers[name]
        assert scores["accuracy"]["value"] == fidelity.accuracy(model, labels)
        loss = fidelity.negative_log_likelihood(model, labels, temperature=1.5)
        assert scores["negative_log_likelihood"]["value"] == loss
        entropies = fidelity.predictive_entropies(model, temperature=1.5)
        assert scores["entropy"] == {
            "value": float(np.mean(entropies)),
            "standard_error": pytest.approx(stats.sem(entropies), rel=1e-12),
        }
        diagram = fidelity.reliability_diagram(model, labels, 9, temperature=1.5)
        assert scores["expected_calibration_error"] == diagram.expected_error
        assert scores["maximum_calibration_error"] == diagram.maximum_error
        for part in ("edges", "counts", "mean_confidences", "accuracies", "gaps"):
            assert scores["reliability"][part] == getattr(diagram, part).tolist()
    divergences = fidelity.predictive_divergences(teacher, student, temperature=1.5)
    assert numbers["divergence"]["value"] == fidelity.predictive_kl(teacher, student, temperature=1.5)
    assert numbers["divergence"]["standard_error"] == pytest.approx(stats.sem(divergences), rel=1e-12)
    assert numbers["agreement"]["value"] == fidelity.top1_agreement(teacher, student)
    accuracies = (fidelity.accuracy(model, labels) for model in (teacher, student))
    assert numbers["agreement_bounds"] == list(fidelity.agreement_bounds(*accuracies))
    control = fidelity.independent_student_control(teacher, student, controls, temperature=1.5)
    for part, value in numbers["control"].items():
        np.testing.assert_array_equal(value, getattr(control, part))
    for name, classes in (("top_class", None), ("true_class", labels)):
        for side in ("low", "high"):
            fit = fidelity.exaggeration_slope(
                teacher, student, 0.3, side, classes=classes, temperature=1.5, random_state=3
            )
            assert numbers[name][side] == {**vars(fit), "interval": list(fit.interval)}
        x, y = fidelity.logit_logit_points(teacher, student, classes=classes, temperature=1.5)
        assert numbers[name]["student_below"]["value"] == np.mean(y < x)
    assert {name: numbers[name] for name in ("n_points", "n_classes", "temperature", "quantile", "n_bins", "seed")} == {
        "n_points": 300,
        "n_classes": 5,
        "temperature": 1.5,
        "quantile": 0.3,
        "n_bins": 9,
        "seed": 3,
    }


def test_groups_are_those_of_the_dissection(made):
    teacher, student, labels, _ = logits()
    groups = fidelity.dissect(teacher, student, labels)
    softmax = [np.exp(model / 1.5) / np.exp(model / 1.5).sum(axis=1, keepdims=True) for model in (teacher, student)]
    divergences = fidelity.predictive_divergences(teacher, student, temperature=1.5)
    for name, group in made.groups.items():
        assert (group.count, group.share.value) == (groups.counts[name], groups.shares[name])
        assert group.teacher_confidence == pytest.approx(np.mean(softmax[0].max(axis=1)[groups.masks[name]]), rel=1e-12)
        assert group.student_confidence == pytest.approx(np.mean(softmax[1].max(axis=1)[groups.masks[name]]), rel=1e-12)
        assert group.divergence == pytest.approx(np.mean(divergences[groups.masks[name]]), rel=1e-12)


def test_differences_are_paired_over_the_points(made):
    teacher, student, labels, _ = logits()
    rows = np.arange(len(labels))
    log_p = [model / 1.5 - np.log(np.exp(model / 1.5).sum(axis=1, keepdims=True)) for model in (teacher, student)]
    losses, confidences = [-each[rows, labels] for each in log_p], [np.exp(each.max(axis=1)) for each in log_p]
    right = [(model.argmax(axis=1) == labels).astype(float) for model in (teacher, student)]
    entropies = [-np.sum(np.exp(each) * each, axis=1) for each in log_p]
    for name, (of_teacher, of_student) in {
        "accuracy": right,
        "negative_log_likelihood": losses,
        "confidence": confidences,
        "entropy": entropies,
    }.items():
        change = getattr(made.change, name)
        assert change.value == pytest.approx(np.mean(of_student - of_teacher), rel=1e-9)
        assert change.standard_error == pytest.approx(stats.sem(of_student - of_teacher), rel=1e-9)
    assert made.teacher.negative_log_likelihood.standard_error == pytest.approx(stats.sem(losses[0]), rel=1e-9)
    assert made.student.confidence.standard_error == pytest.approx(stats.sem(confidences[1]), rel=1e-9)
    ece = [scores.expected_calibration_error for scores in (made.teacher, made.student)]
    assert made.change.expected_calibration_error == ece[1] - ece[0]


def test_intervals_of_the_report_are_over_its_points(made):
    low, high = fidelity.share_interval(made.agreement.value, 300)
    assert made.agreement.interval == (low, high)
    low, high = fidelity.share_interval(made.student.accuracy.value, 300)
    assert made.student.accuracy.interval == (low, high)


def test_every_number_of_the_summary_is_in_the_report(made):
    text = " ".join(made.summary).replace(SPACE, " ").replace("−", "-")
    shares = [made.teacher.accuracy, made.student.accuracy, made.agreement]
    for share in shares:
        assert f"{share.value:.1%}".replace("%", " %") in text
        assert f"{100 * share.interval[0]:.1f} to {100 * share.interval[1]:.1f} %" in text
    assert f"{abs(100 * made.change.accuracy.value):.1f} percentage points" in text
    assert f"{100 * made.control.agreement_gain:.1f} percentage points" in text
    for fit in (made.top_class.low, made.top_class.high):
        assert f"{fit.slope:.2f} (" in text
        assert f"{fit.interval[0]:.2f} to {fit.interval[1]:.2f}" in text


@pytest.mark.parametrize(
    ("scale", "says", "sentence"),
    [
        (2.0, "exaggerates", "where it is surest, the student exaggerates the differences in its confidence"),
        (0.5, "evens out", "where it is surest, the student evens out the differences in its confidence"),
    ],
)
def test_the_summary_says_whether_a_student_exaggerates(scale, says, sentence):
    teacher, _, labels, _ = logits(n_classes=2)
    result = report(teacher, scale * teacher, labels)
    assert verdict(result.top_class.low) == verdict(result.top_class.high) == says
    assert result.top_class.low.slope == pytest.approx(scale, rel=1e-9)
    assert sentence in result.summary[-1].replace(SPACE, " ")


def test_undecided_slopes_and_opposite_ends_are_said_so():
    teacher, _, labels, _ = logits(n_classes=2)
    noise = np.random.default_rng(1).normal(size=teacher.shape)
    assert "do not tell" in report(teacher, teacher + noise, labels).summary[-1]
    margin = np.linspace(0.1, 4.0, 60)
    pulled = np.where(margin < 2.0, 2.0 * margin, 3.0 + 0.5 * margin)
    two = [np.column_stack([np.zeros(60), each]) for each in (margin, pulled)]
    text = report(*two, np.ones(60, dtype=int)).summary[-1].replace(SPACE, " ")
    assert "least sure, the student exaggerates" in text
    assert "On the 25 % where it is surest, the student evens out" in text


@pytest.mark.usefixtures("undrawn")
def test_a_teacher_that_is_equally_sure_everywhere_has_no_slope_and_text_in_a_title_stays_text():
    teacher = np.tile([0.0, 2.0], (20, 1))
    student = np.column_stack([np.zeros(20), np.linspace(-1.0, 1.0, 20)])
    title = "<script>alert('1')</script> & \"more\""
    result = report(teacher, student, [0, 1] * 10, title=title)
    assert result.top_class.low is None
    assert result.top_class.high is None
    assert "no slope can be fitted" in result.summary[-1]
    numbers = json.loads(result.to_json())
    assert (numbers["title"], numbers["top_class"]["low"]) == (title, None)
    parsed = Page(result.to_html())
    assert not parsed.named("script")
    assert "no slope" in parsed.text()
    assert parsed.text().count(title) == 2


def test_a_student_equal_to_its_teacher_and_two_points_have_a_report():
    teacher = np.array([[0.0, 1.0], [2.0, 0.0]])
    result = report(teacher, teacher, [1, 1])
    assert (result.agreement.value, result.divergence) == (1.0, Mean(0.0, 0.0))
    assert result.groups["only_student"].teacher_confidence is None
    assert "as often" in result.summary[0]


@pytest.mark.usefixtures("undrawn")
def test_models_that_know_nothing_have_a_page(axes):
    same = np.zeros((5, 3))
    result = report(same, same, [0, 1, 2, 0, 1])
    assert "none" in Page(result.to_html()).text()
    draw_logit_logit(axes, result.top_class.teacher, result.top_class.student)
    assert axes.get_xlim()[0] < result.top_class.teacher[0] < axes.get_xlim()[1]


def test_large_logits_have_finite_numbers_and_a_page():
    teacher, student, labels, controls = logits(n=50)
    result = report(1e299 * teacher, 1e299 * student, labels, control_logits=controls)
    assert "nan" not in Page(result.to_html()).text().lower()
    assert result.change.negative_log_likelihood.standard_error > 1e297


def test_bad_arguments_are_refused_by_name():
    teacher, student, labels, _ = logits(n=20)
    for change, message in (
        ({"quantile": 0.0}, "quantile must be > 0 and <= 0.5, since the two ends may not overlap, got 0.0"),
        ({"quantile": 0.6}, "quantile must be > 0 and <= 0.5, since the two ends may not overlap, got 0.6"),
        ({"temperature": 0.0}, "temperature must be > 0, got 0.0"),
        ({"n_bins": 0}, "n_bins must be >= 1, got 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"title": "a\nb"}, "title must be one line"),
        ({"title": " "}, "title must be one line"),
        ({"control_logits": student[:, :3]}, "control_logits must have the 5 classes of teacher_logits, got 3"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            report(teacher, student, labels, **change)
    probabilities = softmax(student, axis=1)
    for name, models in {"teacher": (probabilities, student), "student": (teacher, probabilities)}.items():
        with pytest.raises(ValueError, match=f"{name}_logits must be logits, got probabilities in every row"):
            report(*models, labels)
    report(teacher, np.log(probabilities), labels)
    with pytest.raises(TypeError, match="title must be a text, got 3"):
        report(teacher, student, labels, title=3)
    with pytest.raises(ValueError, match=re.escape("2 points or more")):
        report(teacher[:1], student[:1], labels[:1])
    with pytest.raises(ValueError, match=re.escape("output must end in .html, got 'report.json'")):
        report(teacher, student, labels).save("report.json")


def test_saving_writes_both_files_and_leaves_no_other(made, page, tmp_path, monkeypatch):
    monkeypatch.setattr(Report, "to_html", lambda _: page)
    made.save(tmp_path / "r.html")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["r.html", "r.json"]
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page
    assert (tmp_path / "r.json").read_text(encoding="utf-8") == made.to_json()
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "r.html").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_in_writing_leaves_old_files_whole(error, tmp_path, monkeypatch):
    first, second = tmp_path / "r.html", tmp_path / "r.json"
    first.write_text("old")
    synced = []

    def fail(descriptor):
        synced.append(descriptor)
        if len(synced) == 2:
            raise error

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_together({first: "new", second: "new"})
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]
    assert first.read_text() == "old"


def test_a_report_is_frozen(made):
    assert isinstance(made, Report)
    with pytest.raises(AttributeError):
        made.title = "another"
