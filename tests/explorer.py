"""A tab with the explorer, its states, and every number that the package has for them."""

from typing import Any, NamedTuple

import numpy as np

from kdtheory import (
    Spectrum,
    exaggeration_ratios,
    flow_trajectories,
    in_sample_risk,
    matched_student_time,
    selfdistill_closed_form,
    wiener_filter,
)
from kdtheory.problems import sine_problem

PROBLEM = sine_problem()
SPECTRUM = Spectrum.from_gram(PROBLEM.K)
SIGNAL = np.sin(2.0 * np.pi * PROBLEM.x)


class State(NamedTuple):
    ridge: float = 0.2
    weight: float = 0.25
    fits: int = 6
    noise: float = 1.0
    time: float = 1.0
    stop: float = 1.5
    top: int = 2
    bottom: int = 9

    @property
    def targets(self):
        return SIGNAL + self.noise * (PROBLEM.y - SIGNAL)

    @property
    def noise_variance(self):
        return self.noise**2 * np.mean((PROBLEM.y - SIGNAL) ** 2)

    @property
    def path(self):
        return selfdistill_closed_form(
            SPECTRUM, self.targets, ridge=self.ridge, n_steps=self.fits, label_weight=self.weight
        )

    @property
    def limit(self):
        try:
            return self.path.limit
        except ValueError:
            return None

    def trajectories(self, times):
        return flow_trajectories(SPECTRUM, self.targets, times=times, teacher_time=self.stop)


EXTREMES = [
    State(ridge=1e-4),
    State(ridge=1e3),
    State(ridge=1e-4, weight=2.5, fits=20),
    State(ridge=1e3, weight=2.5, fits=20, noise=2.0),
    State(ridge=1e-4, weight=-0.5, fits=20),
    State(weight=0.0, fits=20),
    State(weight=0.0, ridge=1e3, fits=20),
    State(weight=1.0),
    State(weight=-0.1),
    State(weight=-0.11),
    State(weight=2.1),
    State(weight=2.11),
    State(fits=1),
    State(fits=2),
    State(noise=0.0),
    State(noise=0.0, ridge=1e-4, fits=1),
    State(noise=2.0, time=0.0, stop=0.0),
    State(time=0.0),
    State(stop=0.0),
    State(time=1.5),
    State(time=10.0, stop=1.0),
    State(time=9.99, stop=10.0, top=1, bottom=11),
    State(time=1e-9, stop=10.0, top=10, bottom=11),
]


def random_states(n_states):
    rng = np.random.default_rng(5)
    for _ in range(n_states):
        top, bottom = np.sort(rng.choice(np.arange(1, 12), 2, replace=False)).tolist()
        stop = float(rng.uniform(0.01, 10.0))
        yield State(
            ridge=float(10.0 ** rng.uniform(-4.0, 3.0)),
            weight=float(rng.uniform(-0.5, 2.5)),
            fits=int(rng.integers(1, 21)),
            noise=float(rng.uniform(0.0, 2.0)),
            time=float(rng.uniform(0.0, 1.2) * stop) % 10.0,
            stop=stop,
            top=top,
            bottom=bottom,
        )


def numbers(state: State) -> dict[str, float | None]:
    """Every number that the page must show, by row and column."""
    expected: dict[str, Any] = {}

    def row(name, **values):
        expected.update(
            {f"{name} {column}": None if value is None else float(value) for column, value in values.items()}
        )

    path, limit, sigma2 = state.path, state.limit, state.noise_variance
    losses = PROBLEM.losses(path.predict(PROBLEM.K_val))
    risks = in_sample_risk(SPECTRUM, SIGNAL, path, noise_variance=sigma2).total
    printed = PROBLEM.published_losses.get(state.weight) if (state.ridge, state.noise) == (0.2, 1.0) else None
    for step in range(state.fits):
        kept = path.shrinkage[step]
        row(
            f"kd-fit-{step + 1}",
            loss=losses[step],
            published=printed.steps[step] if printed and step < 6 else None,
            risk=risks[step],
            dof=path.effective_dof[step],
            ratio=kept[0] / kept[-1],
        )
    if limit is None:
        row("kd-limit-row", loss=None, published=None, risk=None, dof=None, ratio=None)
    else:
        row(
            "kd-limit-row",
            loss=PROBLEM.losses(limit.predict(PROBLEM.K_val)),
            published=printed.limit if printed else None,
            risk=in_sample_risk(SPECTRUM, SIGNAL, limit, noise_variance=sigma2).total,
            dof=limit.effective_dof,
            ratio=limit.shrinkage[0] / limit.shrinkage[-1] if state.weight else None,
        )
    row("kd-floor-row", floor=wiener_filter(SPECTRUM, SIGNAL, noise_variance=sigma2).floor)

    pair = [state.top - 1, state.bottom - 1]
    d = SPECTRUM.eigenvalues[pair]
    matched = ratio = None
    if 0.0 < state.time < state.stop:
        matched = float(matched_student_time(d[0], state.time, state.stop))
        ratio = exaggeration_ratios(d, time=state.time, teacher_time=state.stop)[1]
    run = state.trajectories([state.time, state.time if matched is None else matched])
    columns = {"teacher": (state.time, run.teacher, 0), "student": (state.time, run.student, 0)}
    columns["matched"] = (matched, run.student, 1)
    for name, (time, model, moment) in columns.items():
        along = model.shrinkage[moment][pair]
        none = time is None
        row("kd-clock-row", **{name: time})
        row("kd-top-row", **{name: None if none else along[0]})
        row("kd-bottom-row", **{name: None if none else along[1]})
        row("kd-loss-row", **{name: None if none else PROBLEM.losses(model.predict(PROBLEM.K_val))[moment]})
    row("kd-even-row", ratio=ratio)
    return expected


class Explorer:
    """The page in a tab, and all that went wrong in it."""

    def __init__(self, context, folder):
        self.page = context.new_page()
        self.problems = []
        self.page.on("console", lambda message: self.problems.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self.note_request)
        self.address = (folder / "index.html").as_uri()

    def note_request(self, request):
        if not request.url.startswith(("file://", "data:,")):
            self.problems.append(f"request: {request.url}")

    def start(self):
        """Show the first view, of a page that is loaded once."""
        self.page.set_viewport_size({"width": 1200, "height": 900})
        if self.page.url == "about:blank":
            self.open()
        self.page.evaluate("document.documentElement.dataset.theme = 'light'")
        self.page.evaluate("document.getElementById('kd-reset').click()")
        self.settle(2)

    def open(self, fragment=""):
        self.page.goto("about:blank")
        self.page.goto(self.address + fragment)
        self.settle()

    def settle(self, frames=6):
        """Wait until numbers, in the first frame, and the four plots after them are drawn."""
        self.page.evaluate(
            "n => new Promise(done => { const wait = () => n-- ? requestAnimationFrame(wait) : done(); wait(); })",
            frames,
        )

    def set(self, state, frames=6):
        self.page.evaluate(
            "state => Object.entries(state).forEach(([name, value]) => {"
            " const it = document.getElementById(`kd-${name}-field`) ?? document.getElementById(`kd-${name}`);"
            " it.value = value; it.dispatchEvent(new Event('change')); })",
            state._asdict(),
        )
        self.settle(frames)

    def numbers(self):
        cells = self.page.evaluate(
            "() => [...document.querySelectorAll('#kd-explorer td[data-name]')]"
            ".map(cell => [cell.parentNode.id, cell.dataset.name, cell.dataset.value, cell.textContent])"
        )
        for _, _, value, text in cells:
            assert (value is None) == (text in ("", "none")), (value, text)
        return {f"{row} {name}": None if value is None else float(value) for row, name, value, _ in cells}

    def curves(self, plot):
        traces = self.page.evaluate(
            "id => document.getElementById(id).data.map(trace => [trace.name, [...trace.x], [...trace.y]])",
            f"kd-plot-{plot}",
        )
        return {name: (x, y) for name, x, y in traces}
