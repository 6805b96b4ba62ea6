"""The explorer in a browser: its numbers and curves are those of the package, and everyone can use it."""

import importlib.util
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest

from kdtheory import in_sample_risk, selfdistill_grid, wiener_filter
from tests.explorer import EXTREMES, PROBLEM, SIGNAL, SPECTRUM, Explorer, State, numbers, random_states

pytest.importorskip("matplotlib")
pytest.importorskip("plotly")
playwright = pytest.importorskip("playwright.sync_api")

DOCS = Path(__file__).resolve().parents[1] / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SLIDERS = ("ridge", "weight", "fits", "noise", "time", "stop")
CONTROLS = [
    "kd-reset",
    *(f"kd-{name}{part}" for name in SLIDERS[:4] for part in ("-field", "")),
    "kd-numbers",
    *(f"kd-{name}{part}" for name in SLIDERS[4:] for part in ("-field", "")),
    "kd-top",
    "kd-bottom",
]
RIDGES = 10.0 ** (-4.0 + np.arange(141) / 20.0)


def browser_path() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.fixture(scope="module")
def explorer_data():
    spec = importlib.util.spec_from_file_location("explorer_data", DOCS / "explorer_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(explorer_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    explorer_data.write_explorer(folder / "assets")
    (folder / "index.html").write_text(explorer_data.explorer_page("assets"), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def context():
    path = browser_path()
    if path is None:
        message = f"no browser: set CHROMIUM, or install one of {', '.join(BROWSERS)}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser.new_context(viewport={"width": 1200, "height": 900})
        browser.close()


@pytest.fixture(scope="module")
def tab(context, folder):
    return Explorer(context, folder)


@pytest.fixture
def explorer(tab):
    tab.start()
    yield tab
    assert tab.problems == []


def assert_shows(explorer, state):
    shown, expected = explorer.numbers(), numbers(state)
    assert shown.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert shown[name] is None, (name, state)
        else:
            assert shown[name] == pytest.approx(value, rel=1e-9, abs=0.0), (name, state)


def test_the_first_view_shows_the_published_losses(explorer):
    published = PROBLEM.published_losses[0.25]
    for column in ("loss", "published"):
        cells = explorer.page.locator(f"#kd-fits-rows [data-name={column}]").all_text_contents()
        assert cells == [f"{loss:.5f}" for loss in published.steps]
        assert explorer.page.locator(f"#kd-limit-row [data-name={column}]").text_content() == f"{published.limit:.5f}"
    assert_shows(explorer, State())


def test_every_number_is_that_of_the_package(explorer):
    for state in [State(weight=0.0), *EXTREMES, *random_states(16)]:
        explorer.set(state, frames=2)
        assert_shows(explorer, state)
        text = explorer.page.inner_text("#kd-explorer")
        assert not re.search("NaN|Infinity|undefined|null", text), state


@pytest.mark.parametrize("state", [State(), State(ridge=0.05, weight=0.7, fits=3, noise=0.6, time=0.3, stop=0.9)])
def test_every_curve_is_that_of_the_package(explorer, state):
    explorer.set(state)
    path, last = state.path, f"student, fit {state.fits}"
    fits = path.predict(PROBLEM.K_val)
    sigma2 = state.noise_variance
    best = wiener_filter(SPECTRUM, SIGNAL, noise_variance=sigma2)

    fit = explorer.curves("fit")
    assert fit["truth"] == (PROBLEM.x_val.tolist(), PROBLEM.y_val.tolist())
    assert fit["points"][1] == pytest.approx(state.targets, rel=1e-12)
    assert fit["teacher"][1] == pytest.approx(fits[0], rel=1e-9, abs=1e-12)
    assert fit[last][1] == pytest.approx(fits[-1], rel=1e-9, abs=1e-12)
    assert fit["limit"][1] == pytest.approx(state.limit.predict(PROBLEM.K_val), rel=1e-9, abs=1e-12)
    assert [*filter(None, fit["between"][1])] == pytest.approx(fits[1:-1].ravel(), rel=1e-9, abs=1e-12)

    modes = explorer.curves("modes")
    assert modes["teacher"][0] == list(range(1, 12))
    assert modes["teacher"][1] == pytest.approx(path.shrinkage[0], rel=1e-12)
    assert modes[last][1] == pytest.approx(path.shrinkage[-1], rel=1e-12)
    assert modes["limit"][1] == pytest.approx(state.limit.shrinkage, rel=1e-12)
    assert modes["best filter"][1] == pytest.approx(best.shrinkage, rel=1e-9, abs=1e-15)

    risk = explorer.curves("risk")
    grid = selfdistill_grid(SPECTRUM, SIGNAL, ridges=RIDGES, n_steps=state.fits, label_weights=[state.weight])
    kept = grid.shrinkage[:, 0]
    energy = SPECTRUM.coordinates(SIGNAL) ** 2
    risks = np.mean((1.0 - kept) ** 2 * energy + sigma2 * kept**2, axis=-1)
    assert risk["teacher"][0] == pytest.approx(RIDGES, rel=1e-12)
    assert risk["teacher"][1] == pytest.approx(risks[:, 0], rel=1e-9)
    assert risk[last][1] == pytest.approx(risks[:, -1], rel=1e-9)
    assert risk["floor"][1] == pytest.approx([best.floor] * 2, rel=1e-9)
    assert risk["current ridge"][0] == risk["at the current ridge"][0] == [state.ridge] * 2
    at_ridge = in_sample_risk(SPECTRUM, SIGNAL, path, noise_variance=sigma2).total
    assert risk["at the current ridge"][1] == pytest.approx(at_ridge[[0, -1]], rel=1e-9)

    flow = explorer.curves("flow")
    times = np.append(10.0 ** (-3.0 + np.arange(160) / 32.0), 1e6)
    run, pair = state.trajectories(times), [state.top - 1, state.bottom - 1]
    assert np.transpose(flow["student"])[1:] == pytest.approx(run.student.shrinkage[:, pair], rel=1e-9)
    before = np.append(times[times < state.stop], state.stop)
    assert np.transpose(flow["teacher"])[1:] == pytest.approx(
        state.trajectories(before).teacher.shrinkage[:, pair], rel=1e-9
    )
    assert np.transpose(flow["teacher, had it gone on"])[-1] == pytest.approx(run.teacher.shrinkage[-2, pair], rel=1e-9)
    now = state.trajectories([state.time, state.stop])
    for name, place in [
        ("teacher at t", now.teacher.shrinkage[0, pair]),
        ("student at t", now.student.shrinkage[0, pair]),
        ("teacher when stopped, where the student ends", now.stopped_teacher.shrinkage[pair]),
    ]:
        assert np.ravel(flow[name]) == pytest.approx(place, rel=1e-9)
    assert np.ravel(flow["student when even"]) == pytest.approx(np.transpose(flow["even"])[1], rel=1e-15)
    assert flow["even"][0][0] == pytest.approx(flow["even"][0][1], rel=1e-9)
    assert flow["even"][1][1] < flow["even"][1][0]


def test_the_best_filter_keeps_nothing_of_a_mode_with_neither_signal_nor_noise(explorer):
    best = explorer.page.evaluate("kdtheoryClosedForms.bestFilter([0, 2], 0)")
    assert best == {"shrinkage": [0, 1], "floor": 0}


def test_sliders_obey_the_keyboard(explorer):
    page = explorer.page
    for name, key, value in [
        ("ridge", "ArrowRight", 0.204),
        ("ridge", "Home", 1e-4),
        ("weight", "ArrowLeft", 0.24),
        ("fits", "End", 20),
        ("fits", "ArrowLeft", 19),
        ("noise", "ArrowUp", 1.01),
        ("time", "Home", 0.0),
        ("time", "ArrowRight", 0.01),
        ("stop", "ArrowRight", 1.51),
    ]:
        page.focus(f"#kd-{name}")
        page.keyboard.press(key)
        assert float(page.input_value(f"#kd-{name}-field")) == value
    explorer.settle()
    assert_shows(explorer, State(ridge=1e-4, weight=0.24, fits=19, noise=1.01, time=0.01, stop=1.51))


def test_fields_obey_the_keyboard_and_keep_to_their_range(explorer):
    page = explorer.page
    page.focus("#kd-weight-field")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("0.7")
    explorer.settle()
    assert_shows(explorer, State(weight=0.7))
    for typed, kept in [("7", 2.5), ("-7", -0.5), ("", -0.5), ("e", -0.5)]:
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.press("Delete")
        page.keyboard.type(typed)
        page.keyboard.press("Tab")
        assert float(page.input_value("#kd-weight-field")) == kept
        page.focus("#kd-weight-field")
    page.fill("#kd-fits-field", "2.6")
    page.keyboard.press("Tab")
    assert page.input_value("#kd-fits-field") == "3"
    explorer.settle()
    assert_shows(explorer, State(weight=-0.5, fits=3))


def test_the_second_direction_has_the_smaller_eigenvalue(explorer):
    page = explorer.page
    page.select_option("#kd-top", "10")
    explorer.settle()
    assert_shows(explorer, State(top=10, bottom=11))
    page.select_option("#kd-bottom", "3")
    explorer.settle()
    assert_shows(explorer, State(top=2, bottom=3))


def test_where_no_limit_exists_the_page_says_where_it_does(explorer):
    explorer.set(State(weight=2.4, fits=2))
    edge = 0.2 / SPECTRUM.eigenvalues[0]
    explorer.page.wait_for_function("document.getElementById('kd-words').textContent.includes('no limit')")
    interval = f"label weights must be above −{edge:.5f} and below {2.0 + edge:.4f}"
    assert interval in explorer.page.text_content("#kd-words")
    assert interval in explorer.page.get_attribute("#kd-limit-row [data-name=loss]", "title")
    assert explorer.curves("fit")["limit"] == explorer.curves("modes")["limit"] == ([], [])


def test_every_control_is_reached_by_tab_and_shows_it(explorer):
    explorer.open()
    page, reached = explorer.page, []
    for _ in range(len(CONTROLS) + 1):
        page.keyboard.press("Tab")
        here = page.evaluate(
            "() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.id, s.outlineStyle, parseFloat(s.outlineWidth)]; }"
        )
        if here[0]:
            assert here[1] == "solid"
            assert here[2] >= 2.0
            reached.append(here[0])
    assert reached == CONTROLS


def test_every_control_and_plot_has_a_name(explorer):
    names = explorer.page.evaluate(
        "() => [...document.querySelectorAll('#kd-explorer :is(input, select, button, [role])')]"
        ".map(e => e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent"
        " || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent || (e.hidden && 'hidden'))"
    )
    assert len(names) >= 2 * len(SLIDERS) + 7
    assert all(names)
    labels = explorer.page.evaluate("() => [...document.querySelectorAll('#kd-explorer label')].map(e => !!e.control)")
    assert labels == [True] * 8


def test_the_address_holds_the_state(explorer):
    state = State(ridge=0.03, weight=-0.05, fits=9, noise=0.5, time=2.0, stop=3.25, top=4, bottom=7)
    explorer.set(state)
    explorer.page.wait_for_function("location.hash.includes('bottom=7') && location.hash.includes('stop=3.25')")
    fragment = explorer.page.evaluate("location.hash")
    assert {name: float(value) for name, value in parse_qsl(fragment[1:])} == state._asdict()
    explorer.open(fragment)
    assert_shows(explorer, state)
    explorer.page.evaluate("location.hash = '#ridge=5&fits=2'")
    explorer.settle()
    assert_shows(explorer, State(ridge=5.0, fits=2))
    explorer.page.click("#kd-reset")
    explorer.settle()
    assert_shows(explorer, State())
    explorer.page.wait_for_function("location.hash === ''")


@pytest.mark.parametrize(
    ("fragment", "state"),
    [
        ("#the-same-numbers-in-python", State()),
        ("#ridge=&weight=x&fits=NaN&noise=Infinity&time=1e400", State()),
        ("#ridge=-1&weight=9&fits=2.4&noise=-3&top=99&bottom=-5", State(1e-4, 2.5, 2, 0.0, top=1, bottom=2)),
        ("#bottom=3&top=8&unknown=1", State(top=2, bottom=3)),
    ],
)
def test_a_wrong_address_does_no_harm(explorer, fragment, state):
    explorer.open(fragment)
    assert_shows(explorer, state)


@pytest.mark.parametrize("width", [320, 390, 1200])
def test_nothing_overflows_and_nothing_jumps(explorer, width):
    page = explorer.page
    page.set_viewport_size({"width": width, "height": 844})
    explorer.settle()
    places = "() => [...document.querySelectorAll('.kd-plot, .kd-controls')].map(e => e.getBoundingClientRect().top)"
    first = page.evaluate(places)
    for state in (State(ridge=1e-4, weight=2.5, fits=20, noise=2.0, time=0.0), State(fits=1, noise=0.0)):
        explorer.set(state)
        page.evaluate("window.scrollTo(0, 0)")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width >= 390:
            assert page.evaluate(places) == first
    if width == 390:
        explorer.set(State())
        assert (
            page.evaluate(
                "(() => { const e = document.getElementById('kd-numbers'); return e.scrollWidth - e.clientWidth; })()"
            )
            <= 0
        )
        lefts = page.evaluate("[...document.querySelectorAll('.kd-plot')].map(e => e.getBoundingClientRect().left)")
        assert len(set(lefts)) == 1


def test_plots_follow_the_theme_and_keep_the_colours_of_the_figures(explorer):
    from kdtheory.figures import STUDENT, TEACHER

    page = explorer.page
    looks = (
        "() => { const plot = document.getElementById('kd-plot-fit');"
        " return [plot.layout.font.color, ...plot.data.slice(2, 4).map(trace => trace.line.color)]; }"
    )
    assert page.evaluate(looks) == ["#222832", TEACHER, STUDENT]
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    explorer.settle()
    assert page.evaluate(looks) == ["#ced6dd", TEACHER, STUDENT]


def test_the_data_are_written_exactly(explorer_data, folder):
    text = (folder / "assets" / "data.js").read_text(encoding="utf-8")
    data = json.loads(re.fullmatch(r"window\.kdtheoryExplorer = (.*);\n", text).group(1))
    assert data == explorer_data.explorer_data()
    np.testing.assert_array_equal(data["eigenvalues"], SPECTRUM.eigenvalues)
    np.testing.assert_array_equal(data["gridKernel"], PROBLEM.K_val)
    assert sorted(path.name for path in (folder / "assets").iterdir()) == sorted(
        [*explorer_data.STYLES, *explorer_data.SCRIPTS]
    )


def test_the_page_of_the_documentation_loads_the_same_files_and_its_example_runs(explorer_data):
    page = (DOCS / "explorer" / "index.md").read_text(encoding="utf-8")
    files = re.findall(r'(?:href|src)="\.\./_static/explorer/([^"]+)"', page)
    assert files == [*explorer_data.STYLES, *explorer_data.SCRIPTS]
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    exec(example, {})


def test_without_its_scripts_the_page_says_so(context, folder):
    (folder / "alone").mkdir(exist_ok=True)
    page = (folder / "index.html").read_text(encoding="utf-8").replace("assets/plotly.min.js", "nowhere.js")
    (folder / "broken.html").write_text(page, encoding="utf-8")
    tab = context.new_page()
    tab.goto((folder / "broken.html").as_uri())
    assert tab.is_visible("#kd-failure")
    assert "did not load" in tab.text_content("#kd-failure")
    tab.close()
