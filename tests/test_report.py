"""Reports of a student and its teacher: their numbers are those of the metrics, and the page asks for nothing else."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from scipy import stats

from kdtheory import fidelity
from kdtheory.figures import draw_dissection, draw_logit_logit, draw_reliability
from kdtheory.report import Report, read_labels, read_logits, report
from kdtheory.report.drawing import Picture
from kdtheory.report.numbers import Mean
from kdtheory.report.output import write_together
from kdtheory.report.sentences import SPACE, verdict

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
HEADLESS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-component-update",
    "--no-first-run",
    "--enable-logging=stderr",
)


def logits(n=300, n_classes=5, seed=0):
    """Logits of a teacher, its student and two others, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    teacher = rng.normal(size=(n, n_classes))
    teacher[np.arange(n), labels] += 4.0 * rng.random(n)
    student = 1.3 * teacher + 0.5 * rng.normal(size=teacher.shape)
    controls = teacher + 1.5 * rng.normal(size=(2, *teacher.shape))
    return teacher, student, labels, controls


@pytest.fixture(scope="module")
def made():
    teacher, student, labels, controls = logits()
    return report(teacher, student, labels, control_logits=controls, temperature=1.5, quantile=0.3, n_bins=9, seed=3)


@pytest.fixture(scope="module")
def page(made):
    return made.to_html()


@pytest.fixture
def axes():
    return Figure().add_subplot()


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without figures, which take a second."""
    pictures = dict.fromkeys(("top_class", "true_class", "teacher", "student", "dissection"), Picture("", "", 1, 1))
    monkeypatch.setattr("kdtheory.report.page.draw", lambda _: pictures)


class Page(HTMLParser):
    """What a page asks for, its text, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.tags, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [
            value
            for name, value in attrs
            if name in ("src", "srcset", "href", "action", "data", "poster", "background")
        ]

    def handle_data(self, data):
        self.words.append(data)

    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


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


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (3, 7), (971, 1000), (1, 2)])
@pytest.mark.parametrize("level", [0.95, 0.5])
def test_intervals_of_shares_are_wilsons(right, n, level):
    expected = stats.binomtest(right, n).proportion_ci(level, method="wilson")
    low, high = fidelity.share_interval(right / n, n, confidence_level=level)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.1], 3), "shares must lie in [0, 1], got 1.1"),
        (([0.1, -0.5], 3), "shares must lie in [0, 1], got -0.5"),
        (([0.5], 0), "n_points must be >= 1, got 0.0"),
        (([0.5, 0.5], [2, 3, 4]), "n_points must be one number or have shape (2,), got shape (3,)"),
    ],
)
def test_shares_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fidelity.share_interval(*arguments)
    with pytest.raises(ValueError, match=re.escape("confidence_level must be > 0 and < 1, got 1.0")):
        fidelity.share_interval(0.5, 3, confidence_level=1.0)


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
    teacher = np.tile([0.0, 1.0], (20, 1))
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


def test_the_same_input_gives_the_same_bytes(made, page):
    teacher, student, labels, controls = logits()
    again = report(teacher, student, labels, control_logits=controls, temperature=1.5, quantile=0.3, n_bins=9, seed=3)
    assert again.to_json() == made.to_json()
    assert again.to_html() == page


def test_the_page_asks_for_nothing(page):
    parsed = Page(page)
    assert parsed.addresses
    assert all(address.startswith("data:") for address in parsed.addresses)
    assert not {"script", "iframe", "object", "embed", "form"} & {tag for tag, _ in parsed.tags}
    assert "url(" not in page
    assert "@import" not in page
    assert "http:" not in page
    assert "https:" not in page
    policy = next(meta["content"] for meta in parsed.named("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'")


def test_the_page_can_be_read_by_everyone(page):
    parsed = Page(page)
    assert parsed.named("html") == [{"lang": "en"}]
    assert len(parsed.named("img")) == len(parsed.named("picture")) == 5
    assert all(len(image["alt"]) > 60 and "\n" not in image["alt"] for image in parsed.named("img"))
    assert all("dark" in source["media"] for source in parsed.named("source"))
    assert len(parsed.named("caption")) == len(parsed.named("table"))
    assert all("scope" in cell for cell in parsed.named("th"))
    assert any("width=device-width" in meta.get("content", "") for meta in parsed.named("meta"))
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["aria-labelledby"] for _, attributes in parsed.tags if "aria-labelledby" in attributes} <= {*ids}
    tags = [tag for tag, _ in parsed.tags]
    assert [tags.count(name) for name in ("h1", "h2", "main")] == [1, 5, 1]


def test_the_page_shows_the_numbers(made, page):
    text = Page(page).text().replace(SPACE, " ").replace("−", "-")
    for share in (made.teacher.accuracy, made.student.accuracy, made.agreement):
        assert f"{100 * share.value:.1f} %" in text
    for sentence in made.summary:
        assert re.sub(r"\s+", " ", sentence.replace("−", "-")) in text
    control = made.control
    for divergence in control.control_divergences:
        assert f"{divergence:.3f}"[:4] in text
    for fit in (made.top_class.low, made.top_class.high, made.true_class.low, made.true_class.high):
        assert f"{fit.slope:.2f} {fit.interval[0]:.2f} to {fit.interval[1]:.2f}" in text
    for group in made.groups.values():
        assert f"{group.teacher_confidence:.3f} {group.student_confidence:.3f}" in text


def test_many_points_give_a_small_page():
    teacher, student, labels, _ = logits(n=8_000)
    result = report(teacher, student, labels)
    assert len(result.to_html()) < 2_000_000
    assert len(result.to_json()) < 50_000


def test_bad_arguments_are_refused_by_name():
    teacher, student, labels, _ = logits(n=20)
    for change, message in (
        ({"quantile": 0.0}, "quantile must be > 0 and <= 1, got 0.0"),
        ({"quantile": 1.5}, "quantile must be > 0 and <= 1, got 1.5"),
        ({"temperature": 0.0}, "temperature must be > 0, got 0.0"),
        ({"n_bins": 0}, "n_bins must be >= 1, got 0"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
        ({"title": "a\nb"}, "title must be one line"),
        ({"title": " "}, "title must be one line"),
        ({"control_logits": student[:, :3]}, "control_logits must have the 5 classes of teacher_logits, got 3"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            report(teacher, student, labels, **change)
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


def test_logits_and_labels_come_from_all_kinds_of_files(tmp_path):
    teacher, _, labels, _ = logits(n=6)
    np.save(tmp_path / "a.npy", teacher)
    np.savez(tmp_path / "one.npz", teacher)
    np.savez_compressed(tmp_path / "two.npz", teacher=teacher, other=labels)
    np.savetxt(tmp_path / "plain.csv", teacher, delimiter=",", fmt="%.18e")
    np.savetxt(tmp_path / "named.csv", teacher, delimiter=",", fmt="%.18e", header="a,b,c,d,e", comments="")
    np.savetxt(tmp_path / "pandas.csv", teacher, delimiter=",", fmt="%.18e", header="0,1,2,3,4", comments="")
    (tmp_path / "excel.CSV").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "named.csv").read_bytes().replace(b"\n", b"\r\n")
    )
    np.save(tmp_path / "with:colon.npy", teacher)
    for name in (
        "a.npy", "one.npz", "two.npz:teacher", "plain.csv", "named.csv", "pandas.csv", "excel.CSV", "with:colon.npy",
    ):  # fmt: skip
        np.testing.assert_array_equal(read_logits(f"{tmp_path}/{name}"), teacher)
    np.testing.assert_array_equal(read_logits(tmp_path / "a.npy"), teacher)
    np.savetxt(tmp_path / "labels.csv", labels, fmt="%d", header="label", comments="")
    np.savetxt(tmp_path / "floats.csv", labels, fmt="%.1f")
    np.save(tmp_path / "column.npy", labels[:, None].astype(np.uint8))
    for name in ("two.npz:other", "labels.csv", "floats.csv", "column.npy"):
        read = read_labels(f"{tmp_path}/{name}")
        assert read.dtype.kind in "iu"
        np.testing.assert_array_equal(read, labels)


def test_lines_of_whole_numbers_are_all_data(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,2\n5,3,4\n")
    np.testing.assert_array_equal(read_logits(tmp_path / "a.csv"), [[0.0, 1.0, 2.0], [5.0, 3.0, 4.0]])


BAD_CSV = {
    "empty": ("", "no data"),
    "only a heading": ("a,b\n", "no data"),
    "ragged": ("1,2\n3\n", "number of columns"),
    "words": ("1,2\n3,x\n", "could not convert string 'x'"),
    "semicolons": ("1;2\n3;4\n", "could not convert string '3;4'"),
    "an index": (",0,1\n0,1.5,2\n", "to_csv(..., index=False)"),
    "a hole in the first line": ("1,,2\n1,2,3\n", "empty cell"),
    "a hole in another line": ("1,3,2\n1,,3\n", "could not convert string ''"),
    "names and numbers": ("id,1\n0,1\n", "names and numbers"),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_a_csv_file_that_is_no_table_of_numbers_is_refused(kind, tmp_path):
    content, message = BAD_CSV[kind]
    file = tmp_path / "a.csv"
    file.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_logits(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    teacher, _, labels, _ = logits(n=6)
    np.save(tmp_path / "whole.npy", teacher)
    whole = (tmp_path / "whole.npy").read_bytes()
    np.savez(tmp_path / "whole.npz", teacher=teacher, labels=labels)
    archive = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    np.savez(tmp_path / "objects.npz", a=np.array([{}, 1], dtype=object))
    contents = {
        "cut.npy": whole[:-9],
        "header.npy": whole[:40],
        "empty.npy": b"",
        "text.npy": b"hello",
        "pickle.npy": b"\x80\x04N.",
        "cut.npz": archive[: len(archive) // 2],
        "damaged.npz": archive[:200] + bytes(50) + archive[250:],
        "utf16.csv": "1,2".encode("utf-16"),
        "huge.npy": whole.replace(b"(6, 5), }" + b" " * 12, b"(60000000000, 50000), }"[:21]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "objects.npy", "objects.npz", "damaged.npz:teacher"]:
        with pytest.raises(ValueError, match=re.escape(str(tmp_path / name.partition(":")[0]))) as caught:
            read_logits(f"{tmp_path}/{name}")
        assert "\n" not in str(caught.value)
        assert "allow_pickle" not in str(caught.value)
    for name, message in (
        ("whole.npz", "must hold one array, or be followed by a colon and a name, got ['labels', 'teacher']"),
        ("whole.npz:x", "must hold an array named 'x', got ['labels', 'teacher']"),
        ("whole.npz:", "must hold an array named '', got ['labels', 'teacher']"),
        ("whole.npy:x", "holds one array without a name, got the name 'x'"),
        ("whole.txt", "must end in .npy, .npz or .csv, got '.txt'"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            read_logits(f"{tmp_path}/{name}")
    with pytest.raises(FileNotFoundError):
        read_logits(tmp_path / "missing.npy")


def test_labels_that_are_no_column_of_integers_are_refused(tmp_path):
    for content, message in (
        (np.array([0.0, 1.5]), "must hold integers, got 1.5 at index 1"),
        (np.array([0.0, np.nan]), "must hold integers, got nan at index 1"),
        (np.array([1e300, 0.0]), "must hold integers, got 1e+300 at index 0"),
        (np.zeros((3, 2)), "must hold one column of labels, got shape (3, 2)"),
    ):
        np.save(tmp_path / "labels.npy", content)
        with pytest.raises(ValueError, match=re.escape(message)):
            read_labels(tmp_path / "labels.npy")


def shown(page, folder):
    """What Chromium makes of a page, and what it says meanwhile."""
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [BROWSER, *HEADLESS, profile, "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_the_page_without_complaint(made, page, tmp_path):
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    browser = shown(file, tmp_path)
    assert "CONSOLE" not in browser.stderr
    text = Page(browser.stdout).text().replace(SPACE, " ")
    assert f"{100 * made.student.accuracy.value:.1f} %" in text
    assert re.sub(r"\s+", " ", made.summary[0].replace(SPACE, " ")) in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_that_complains_is_heard(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><img src='x.png'>")
    assert "CONSOLE" in shown(page, tmp_path).stderr


def test_lines_of_a_logit_logit_plot_are_drawn_over_their_points(axes, made):
    plot = made.top_class
    draw_logit_logit(axes, plot.teacher, plot.student, low=plot.low, high=plot.high)
    (points,) = (each for each in axes.collections if isinstance(each, PathCollection))
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack([plot.teacher, plot.student]))
    low, high = axes.lines[-2:]
    for line, fit, ends in (
        (low, plot.low, (plot.teacher.min(), plot.low.threshold)),
        (high, plot.high, (plot.high.threshold, plot.teacher.max())),
    ):
        np.testing.assert_array_equal(line.get_xdata(), ends)
        np.testing.assert_allclose(line.get_ydata(), fit.intercept + fit.slope * np.array(ends), rtol=1e-12)
        assert f"{fit.slope:.2f} ({fit.interval[0]:.2f} to {fit.interval[1]:.2f})" in line.get_label()
    assert not axes.texts


def test_many_points_are_counted_in_hexagons_and_those_outside_in_words(axes):
    x, y = np.random.default_rng(0).normal(size=(2, 5000))
    x[0], y[1] = 700.0, -1e9
    draw_logit_logit(axes, x, y)
    (hexagons,) = axes.collections
    outside = int(axes.texts[0].get_text().split()[0])
    assert axes.texts[0].get_text() == f"{outside} more outside"
    assert 2 <= outside <= 20
    assert 0 <= np.sum(hexagons.get_array()) - (5000 - outside) <= 3  # hexagons at the edge reach over it
    assert axes.get_xlim() == axes.get_ylim()
    assert max(map(abs, axes.get_xlim())) < 5.0


def test_a_reliability_diagram_shows_accuracies_with_their_intervals(axes, made):
    diagram = made.teacher.reliability
    filled = diagram.counts > 0
    assert not np.all(filled)
    draw_reliability(axes, diagram)
    np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], diagram.counts / 300)
    dots, _, (bars,) = axes.containers[1]
    np.testing.assert_array_equal(dots.get_xdata(), diagram.mean_confidences[filled])
    np.testing.assert_array_equal(dots.get_ydata(), diagram.accuracies[filled])
    drawn = [segment[:, 1] for segment in bars.get_segments()]
    expected = fidelity.share_interval(diagram.accuracies[filled], diagram.counts[filled])
    np.testing.assert_allclose(drawn, np.transpose(expected), atol=1e-15)


def test_a_dissection_shows_the_means_of_groups_that_have_points(axes):
    counts = {"both": 5, "only_teacher": 0, "only_student": 3, "neither": 2}
    teacher = {"both": 0.9, "only_student": 0.4, "neither": 0.5}
    student = {"both": 0.8, "only_student": 0.6, "neither": 0.3}
    draw_dissection(axes, counts, teacher, student)
    for line, means in zip(axes.lines, (teacher, student), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), list(means.values()))
        np.testing.assert_array_equal(np.rint(line.get_ydata()), [0, 2, 3])
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "only student\n3 (30.0 %)"
