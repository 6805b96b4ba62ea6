"""The papers' whole programmes at their quick size: tables, figures, the scripts that draw them, what is claimed."""

import functools
import os
import re

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kdtheory.experiments.augmenting import AUGMENTATION, POLICIES
from kdtheory.experiments.curvature import FLATNESS
from kdtheory.experiments.depth import DEPTH
from kdtheory.experiments.enlarging import ENLARGING, MNIST
from kdtheory.experiments.ensemble_teachers import ENSEMBLES
from kdtheory.experiments.experiment import read_set
from kdtheory.experiments.initialisation import INITIALISATION
from kdtheory.experiments.menon_2020 import PROGRAMME as MENON
from kdtheory.experiments.networks import Architecture, draw
from kdtheory.experiments.pham_2022 import PROGRAMME as PHAM
from kdtheory.experiments.recycling import RECYCLING
from kdtheory.experiments.rounds import ROUNDS
from kdtheory.experiments.shifts import ROBUSTNESS
from kdtheory.experiments.stanton_2021 import PROGRAMME as STANTON
from kdtheory.nets import RandomCrop, Sequential, Snapshot, TrainingPlan, train
from tests.examples import OF_EXPERIMENTS, call_example, load_example
from tests.figures import assert_common_fonts, assert_legible

ALL = {
    each.name: each
    for each in (
        *(MNIST, ENLARGING, AUGMENTATION, RECYCLING, ENSEMBLES, INITIALISATION, DEPTH),
        *(ROUNDS, FLATNESS, ROBUSTNESS),
    )
}
ACCURACY, LOG_LOSS, CALIBRATION, AGREEMENT, DIVERGENCE = range(5)


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """Folder of finished trials, which all tests share, those in other processes too."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "trials"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def results(trials):
    """Results of an experiment by its name, as from a shell, where single precision is faster."""

    @functools.cache
    def run(name):
        with jax.enable_x64(False):
            return ALL[name].run(results=trials)

    return run


@pytest.mark.parametrize("programme", [STANTON, PHAM, MENON], ids=lambda each: each.name)
def test_a_programme_draws_every_figure_and_writes_every_claim(programme, trials, results, tmp_path, capsys):
    for experiment in programme.experiments:
        results(experiment.name)
    with jax.enable_x64(False):
        programme.main(["--quick", "--output", str(tmp_path), "--results", str(trials)])
    printed = capsys.readouterr().out
    table = pd.read_csv(tmp_path / f"{programme.name}.csv")
    found = [claim for each in programme.experiments for claim in each.claims(each.sizes["quick"], results(each.name))]
    assert table["claim"].tolist() == [claim.statement for claim in found]
    assert table["result"].tolist() == [claim.result for claim in found]
    assert not table.duplicated(["source", "claim", "setting"]).any()
    counts = table["verdict"].value_counts()
    last = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("reproduced", "contradicted", "undecided"))
    assert printed.splitlines()[-1] == last
    drawn = {file.stem for file in tmp_path.glob("*.pdf")}
    assert drawn == {file.stem for file in tmp_path.glob("*.png")}
    plt.close("all")


@pytest.mark.parametrize("script", list(OF_EXPERIMENTS))
def test_scripts_draw_what_could_go_into_a_paper_and_print_every_claim(script, trials, results, tmp_path, capsys):
    name = OF_EXPERIMENTS[script]
    expected = ALL[name].claims(ALL[name].sizes["quick"], results(name))
    with jax.enable_x64(False):
        figures = load_example(script).main(results=trials).figures
    printed = capsys.readouterr().out
    for claim in expected:
        assert f"{claim.source}: {claim.statement}\n  {claim.result} on {claim.setting}: {claim.verdict()}" in printed
    assert figures
    for figure in figures.values():
        assert_legible(figure)
        assert_common_fonts(figure, tmp_path)
    plt.close("all")


@pytest.mark.parametrize("script", list(OF_EXPERIMENTS))
def test_scripts_tell_their_options(script, capsys, monkeypatch):
    assert call_example(script, "--help", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    assert load_example(script).__doc__.splitlines()[0] in shown
    assert all(option in shown for option in ("--full", "--paper", "--data FOLDER", "--results FOLDER", "--trials N"))


@pytest.mark.parametrize("name", list(ALL))
def test_numbers_of_every_trial_are_finite_and_differ_from_seed_to_seed(name, results):
    found = results(name)
    assert all(np.isfinite(values).all() for values in found.values())
    assert any(not np.array_equal(values[0], values[1]) for values in found.values())


@pytest.mark.parametrize("name", ["fidelity_mnist", "fidelity_enlarging"])
def test_students_of_more_images_agree_more(name, results):
    found = results(name)
    gain = found["students"][:, :, -1, AGREEMENT] - found["students"][:, :, 0, AGREEMENT]
    assert gain.min() > 0.0
    assert (found["students"][:, :, -1, AGREEMENT] > found["controls"]).mean() > 0.7
    claims = ALL[name].claims(ALL[name].sizes["quick"], found)
    by_statement = {claim.statement: claim.values for claim in claims}
    np.testing.assert_allclose(by_statement["more images: the student agrees more with the teacher"], gain[:, 0])


def test_a_teacher_agrees_with_itself_and_better_ensembles_have_lower_log_loss(results):
    teachers = results("fidelity_ensembles")["teachers"]
    np.testing.assert_array_equal(teachers[..., AGREEMENT], 1.0)
    np.testing.assert_allclose(teachers[..., DIVERGENCE], 0.0, atol=1e-12)
    assert (teachers[:, -1, LOG_LOSS] < teachers[:, 0, LOG_LOSS]).all()


def test_students_start_from_their_teacher_at_one_end_and_fall_behind_at_the_other(results):
    found, setting = results("fidelity_initialisation"), INITIALISATION.sizes["quick"]
    assert (found["loss"][:, -1] < 0.5 * found["loss"][:, 0]).all()
    assert (found["test agreement"][:, -1] > found["test agreement"][:, 0]).all()
    np.testing.assert_allclose(found["networks"][:, :, 0], 0.0)
    lengths = np.linalg.norm(found["networks"][:, :, 1], axis=2)
    np.testing.assert_allclose(lengths[:, 1], (1 - setting.drawn[1]) * lengths[:, 0], rtol=1e-4)


def test_the_teacher_has_the_lowest_loss_on_the_plane_of_a_student(results):
    found = results("fidelity_initialisation")
    x, y = found["axes"][0, 0]
    nearest = found["losses"][0, 0][np.abs(y).argmin(), np.abs(x).argmin()]
    assert nearest < 0.2 * found["losses"][0, 0].mean()


def test_rounds_begin_at_one_teacher_and_an_ensemble_of_one_is_its_member(results):
    found = results("rounds_accuracy")
    np.testing.assert_array_equal(found["rounds"][:, 0, 0], found["rounds"][:, 1, 0])
    np.testing.assert_array_equal(found["rounds"][:, 0, 0], found["independent"][:, 0])
    for rule in range(2):
        np.testing.assert_array_equal(found["born again"][:, rule, :, 0], found["rounds"][:, :, 0])
        np.testing.assert_array_equal(found["ensembles"][:, rule, 0], found["independent"][:, 0])


def test_the_largest_eigenvalue_is_the_first_of_the_top_and_their_sum_is_below_the_trace(results):
    found = results("flatness")
    np.testing.assert_allclose(found["top"][..., 0], found["largest"], rtol=1e-3)
    assert (np.diff(found["top"], axis=-1) <= 0.0).all()
    assert (found["trace_low"] < found["trace"]).all()
    assert (found["trace"] < found["trace_high"]).all()
    assert (found["top"].sum(axis=-1) < 1.5 * found["trace"]).all()
    setting = FLATNESS.sizes["quick"]
    step = (setting.span[1] - setting.span[0]) / (setting.n_points - 1)
    np.testing.assert_allclose(found["density"].sum(axis=-1) * step, 1.0, atol=0.05)
    middle = setting.grid // 2
    np.testing.assert_allclose(found["surface"][..., middle, middle], found["loss"], rtol=1e-4)


def test_a_teacher_that_has_seen_a_shift_is_beyond_the_line_of_those_that_have_not(results):
    found, first = results("robustness"), len(ROBUSTNESS.sizes["quick"].testbed)
    assert (found["robustness"][:, 0, first] > 0.1).all()
    assert np.abs(found["robustness"][:, :, :first].mean()) < 0.02


def test_students_of_more_capacity_and_of_both_halves_agree_more(results):
    capacity = results("fidelity_ensembles")["capacity"]
    assert capacity[:, -1, AGREEMENT].mean() > capacity[:, 0, AGREEMENT].mean()
    halves = results("fidelity_recycling")["by members"]
    assert halves[:, :, 2, AGREEMENT].mean() > halves[:, :, :2, AGREEMENT].mean()


def test_claims_say_reproduced_where_the_numbers_are_as_the_paper_has_them(results):
    """Of numbers that are made up: other images give agreement, own images accuracy, both of them most."""
    setting = RECYCLING.sizes["quick"]
    made = {name: np.array(values) for name, values in results("fidelity_recycling").items()}
    noise = 1e-4 * np.random.default_rng(0).standard_normal(made["by members"].shape)
    scores = np.array([[0.90, 0.3, 0.05, 0.92, 0.2], [0.88, 0.3, 0.03, 0.94, 0.1], [0.91, 0.3, 0.03, 0.95, 0.05]])
    made["by members"] = scores + noise
    made["train agreement"] = np.array([0.99, 0.97, 0.98]) + noise[..., 0]
    assert {claim.verdict() for claim in RECYCLING.claims(setting, made)} == {"reproduced"}
    made["by members"] = scores[[1, 0, 2]] + noise
    turned = {claim.statement: claim.verdict() for claim in RECYCLING.claims(setting, made)}
    assert turned["agreement: higher for students on other images than the teacher's"] == "contradicted"
    assert turned["accuracy: higher for students on the teacher's own images than on others"] == "contradicted"


@pytest.mark.parametrize("policy", list(POLICIES))
def test_students_can_be_shown_what_any_policy_makes(policy):
    images = draw(read_set("digits", None).train, 32, 0)
    augment = Sequential(RandomCrop(1), *POLICIES[policy](images.X[20:], images.X[20:] ** 2))
    plan = TrainingPlan(n_epochs=1, learning_rate=0.1, augment=augment)
    student, teacher = (Architecture("perceptron", 4).make((8, 8), seed) for seed in range(2))
    history = train(student, images.X[:20], None, plan=plan, teacher=Snapshot(teacher)).history
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("name", list(ALL))
def test_every_experiment_says_what_it_needs_at_its_full_size(name):
    with pytest.raises(ValueError, match=re.compile(r"data must be a folder with \w+\.npz")):
        ALL[name].run("full")
