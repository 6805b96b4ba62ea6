"""Pages of reports show their numbers, can be read by everyone, and ask for nothing else."""

import re
import shutil
import subprocess

import pytest

from kdtheory.report import report
from kdtheory.report.sentences import SPACE
from tests.reports import Page, a_page, a_report, logits

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


@pytest.fixture(scope="module")
def made():
    return a_report()


@pytest.fixture(scope="module")
def page():
    return a_page()


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
