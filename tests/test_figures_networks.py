"""Figures of trained networks: that curves are what they claim to be."""

import re

import jax
import numpy as np
import pytest
from scipy.stats import linregress

from kdtheory.eigenspace import exaggerations
from kdtheory.figures import networks
from tests.examples import NETWORKS, load_example
from tests.figures import assert_common_fonts, assert_legible, assert_says_how_many_trials, assert_standard_errors


@pytest.mark.parametrize("name", NETWORKS)
def test_figures_could_go_into_a_paper_and_numbers_are_met(name, drawn, capsys, tmp_path):
    for figure in drawn(name, capsys)[0].values():
        assert_legible(figure)
        assert_common_fonts(figure, tmp_path)
    for row in drawn.numbers(name, capsys):
        assert row.is_met, row
        assert row.source


def finding(printed, start):
    line = next(line for line in printed.splitlines() if line.strip().startswith(start))
    return float(line.strip().removeprefix(start).split(" ± ")[0])


def numbers(line):
    return [float(text) for text in re.findall(r"[+-]?\d+\.\d+", line)]


@pytest.mark.parametrize("name", ["fig_ntk_vs_network", "fig_estimated_label_weight"])
def test_every_curve_of_trials_has_the_standard_errors_of_its_means(name, drawn, capsys):
    for figure in drawn(name, capsys)[0].values():
        assert_standard_errors(figure)
        assert_says_how_many_trials(figure, 2, "bars" if name == "fig_ntk_vs_network" else "bars and bands")


def test_wide_networks_come_near_the_closed_form_with_the_root_of_their_width(drawn, capsys):
    figures, printed = drawn("fig_ntk_vs_network", capsys)
    distances, teachers, students = figures["ntk_vs_network"].axes
    curves = [container.lines[0].get_ydata() for container in distances.containers]
    assert len(curves) == 4
    for curve in curves:
        assert np.all(np.diff(curve) < 0.0)
    slopes = [float(text) for text in printed.splitlines()[-1].split()[1:]]
    assert np.all(np.abs(np.array(slopes[:2]) + 0.5) < 0.08)
    assert np.all(np.array(slopes[2:]) < -0.55)
    assert max(curve[-1] for curve in curves[:2]) < 0.1
    assert max(curve[-1] for curve in curves[2:]) < 0.03
    for panel in (teachers, students):
        (closed,) = (line for line in panel.lines if line.get_label() == "closed form")
        widest = panel.containers[-1].lines[0]
        steps, expected = (np.asarray(each, dtype=float) for each in closed.get_data())
        theory = np.interp(np.log(np.asarray(widest.get_xdata(), dtype=float)), np.log(steps), expected)
        assert np.max(np.abs(theory - widest.get_ydata())) < 0.01


def test_networks_do_what_is_forecast_for_them(capsys):
    example = load_example("ntk_self_distillation")
    distances = example.main((128, 1024))
    printed = capsys.readouterr().out
    errors = [float(text) for text in printed.splitlines()[1].split(": ")[1].split(", ")]
    assert errors[-1] < errors[0]
    assert np.all(distances[1024] < distances[128])
    assert np.all(distances[1024] < 0.12)


def test_pairs_in_which_the_student_makes_no_way_are_left_out_and_too_few_are_named():
    moments = np.linspace(0.0, 1.0, 9)[:, None]
    teacher = moments ** np.linspace(1.0, 2.0, 5)
    student = moments ** np.linspace(1.0, 3.0, 5)
    still = np.where(np.arange(5) == 1, 0.0, student)
    rng = np.random.default_rng(0)
    assert networks._of_layer("layer", [teacher, student], 5, rng)["layer compared"] == 10
    found = networks._of_layer("layer", [teacher, still], 5, rng)
    assert found["layer compared"] == 7
    assert not np.any(found["layer pairs"][:, 0] == 1)
    np.testing.assert_array_equal(found["layer curves"][1, 1], still[:, found["layer pairs"][:, 1]])
    np.testing.assert_array_equal(found["layer of drawn"], exaggerations(teacher, still, found["layer pairs"]))
    with pytest.raises(ValueError, match="layer must have 6 pairs of directions or more, .* got 3"):
        networks._of_layer("layer", [teacher[:, :3], student[:, :3]], 3, rng)
    with pytest.raises(ValueError, match="student must start where the teacher starts"):
        networks._of_layer("layer", [teacher, student + 0.1], 5, rng)


def test_students_on_random_features_are_more_biased_and_doubt_wrong_labels(drawn, capsys):
    figures, printed = drawn("fig_noisy_random_features", capsys)
    assert finding(printed, "features: share of pairs where the student is more biased") > 0.7
    assert finding(printed, "features: by how much, median over pairs") > 0.03
    rows = {line.strip().rpartition("labels")[0]: line for line in printed.splitlines() if "confidence" in line}
    for row in rows.values():
        teacher, student = (float(part.split()[-1]) for part in row.split(" ± ")[:2])
        assert student < teacher
    kept = figures["noisy_random_features_confidence"].axes[2]
    right, wrong = (container.lines[0].get_ydata() for container in kept.containers)
    assert np.mean(right[: len(right) // 2]) > np.mean(wrong[: len(wrong) // 2]) + 0.3
    for panel in figures["noisy_random_features"].axes:
        teacher, student = (line.get_xydata() for line in panel.lines if line.get_label() in ("teacher", "student"))
        np.testing.assert_array_equal(teacher[0], student[0])


def test_students_of_networks_are_more_biased_in_most_pairs(drawn, capsys):
    figures, printed = drawn("fig_mlp_eigenspace", capsys)
    assert finding(printed, "first layer: share of pairs where the student is more biased") > 0.65
    assert finding(printed, "first layer: by how much, median over pairs") > 0.1
    assert finding(printed, "second layer: by how much, median over pairs") > 0.05
    assert len(figures["mlp_eigenspace"].axes) == len(figures["mlp_eigenspace_hidden"].axes) == 6


def test_estimated_label_weights_are_near_the_best_fixed_ones_at_the_fits_that_the_paper_counts(drawn, capsys):
    figures, printed = drawn("fig_estimated_label_weight", capsys)
    _, accuracy, error, weights = figures["estimated_label_weight"].axes
    lines = printed.splitlines()
    rounds = [line for line in lines if re.match(r" +[2-9]  0\.", line)]
    n_rounds = len(accuracy.lines[0].get_xdata())
    assert len(rounds) == 2 * (n_rounds - 1)
    for axes, best_of, rows in zip((accuracy, error), (np.max, np.min), np.array_split(rounds, 2), strict=True):
        fixed = np.array([line.get_ydata() for line in axes.lines if line.get_label().startswith(r"$\alpha")])
        (estimated,) = (container.lines[0].get_ydata() for container in axes.containers)
        assert fixed.shape == (10, n_rounds)
        np.testing.assert_allclose(np.ptp([*fixed[:, 0], estimated[0]]), 0.0, atol=1e-12)  # one first network for all
        assert np.ptp(fixed[:, -1]) > 0.005
        for t, row in enumerate(rows, 1):
            best, value, _, weight, _, found, _, difference, *_ = numbers(row)
            np.testing.assert_allclose(value, best_of(fixed[:, t]), atol=1e-4)
            np.testing.assert_allclose(value, fixed[round(10 * best), t], atol=1e-4)
            np.testing.assert_allclose(found, estimated[t], atol=1e-4)
            np.testing.assert_allclose(difference, found - value, atol=2e-4)
            np.testing.assert_allclose(weight, weights.containers[0].lines[0].get_ydata()[t - 1], atol=0.01)
            assert abs(difference) < 0.3 * np.ptp(fixed[:, -1]) + 0.004
    cost = [line.split() for line in lines[-(n_rounds - 1) :]]
    assert [[int(row[0]), int(row[1]), int(row[3])] for row in cost] == [
        [t, 10 * (t - 1) + 1, 2 * (t - 1) + 1] for t in range(2, n_rounds + 1)
    ]


def test_the_best_fixed_weight_is_that_of_the_best_mean_and_the_found_one_that_of_least_validation_error():
    example = load_example("fig_estimated_label_weight")
    run = {"test accuracy": np.zeros((2, 3, 1)), "val error": np.ones((2, 3, 1))}
    run["test accuracy"][:, :, 0] = [[0.5, 0.9, 0.8], [0.8, 0.6, 0.9]]  # two fixed weights, and the estimated one
    run["val error"][[0, 1], [0, 1], 0] = 0.5
    found = example.comparison(run, "test accuracy", 1.0)
    assert found["best"].tolist() == [1]
    np.testing.assert_allclose(found["difference"][:, 0], [-0.1, 0.3])
    np.testing.assert_allclose(found["from found"][:, 0], [0.3, 0.3])
    assert example.comparison(run, "test accuracy", -1.0)["best"].tolist() == [0]


def test_students_that_switch_are_drawn_from_where_they_leave_those_that_do_not(drawn, capsys):
    example = load_example("fig_loss_switching")
    figures, printed = drawn("fig_loss_switching", capsys)
    panels = iter(figures["loss_switching"].axes)
    rows = [line for line in printed.splitlines() if re.search(r"(alone|at step \d+) +\d\.", line)]
    ends = {re.split(r"  +", row)[0] + ": " + re.split(r"  +", row)[1]: numbers(row)[2] for row in rows[:16]}
    for teacher in example.TEACHERS:
        for to, start in zip(example.TO, (example.PURE, example.PLAIN), strict=True):
            lines = {line.get_label(): line.get_xydata() for line in next(panels).lines}
            for label, curve in lines.items():
                name = label if label in (example.PURE, example.PLAIN) else label.replace("switch", f"to {to}")
                np.testing.assert_allclose(ends[f"{teacher}: {name}"], curve[-1, 1], atol=1e-4)
                if label.startswith("switch"):
                    before = lines[start]
                    np.testing.assert_array_equal(curve[0], before[before[:, 0] == curve[0, 0]][0])
    assert ends["interpolating: the teacher alone"] > ends["interpolating: to the labels at step 60"]
    assert ends["stopped early: the teacher alone"] < ends["stopped early: to the labels at step 60"]


def test_a_switch_goes_from_one_end_to_the_other_within_its_window():
    example = load_example("fig_loss_switching")
    for to, ends in {"the labels": [0.0, 1.0], "the teacher": [1.0, 0.0]}.items():
        weight = example.Switch(to, 0.5, 0.1).label_weight(200)
        np.testing.assert_allclose([weight(0), weight(100), weight(120), weight(200)], np.repeat(ends, 2), atol=1e-6)
        assert float(weight(110)) == 0.5


def test_students_of_convolutional_networks_are_more_biased_in_most_pairs_of_the_first_layer(drawn, capsys):
    figures, printed = drawn("fig_cnn_eigenspace", capsys)
    assert finding(printed, "first layer: share of pairs where the student is more biased") > 0.55
    assert finding(printed, "first layer: by how much, median over pairs") > 0.02
    for name in ("cnn_eigenspace", "cnn_eigenspace_hidden"):
        for panel in figures[name].axes:
            teacher, student = (line.get_xydata() for line in panel.lines if line.get_label() in ("teacher", "student"))
            np.testing.assert_array_equal(teacher[0], student[0])
            assert len(teacher) == load_example("fig_cnn_eigenspace").QUICK.plan.n_epochs + 1


@pytest.mark.parametrize(("layer", "side"), [(0, 4), (1, 8)])
def test_what_a_convolution_gives_is_a_patch_times_the_matrix_of_its_filters(layer, side):
    example = load_example("fig_cnn_eigenspace")
    model = example.network(example.QUICK, (side, side, 3), jax.random.key(0))
    images = np.random.default_rng(0).random((1, side, side, 3)).astype(model.read_out.weight.dtype)
    convolved = model.filters[layer](model.hidden(images[0])[layer])
    inside = convolved[:, 1, 1]  # before which there is a padding of one pixel
    patch = example.patches(layer, example.QUICK.kernel_size, model, images)[0]
    np.testing.assert_allclose(patch @ example.weights(layer, model), inside, rtol=1e-5)


def test_lines_of_logit_logit_plots_have_the_slopes_of_the_quarters_that_are_printed_beside_them(drawn, capsys):
    figures, printed = drawn("fig_logit_logit", capsys)
    example = load_example("fig_logit_logit")
    assert len(figures["logit_logit"].axes) == 12
    for axes in figures["logit_logit"].axes:
        x, y = np.transpose(axes.collections[0].get_offsets())
        order, quarter = np.argsort(x), len(x) // 4
        for text, some in zip(axes.texts, (order[:quarter], order[-quarter:]), strict=True):
            assert abs(float(text.get_text()) - linregress(x[some], y[some]).slope) < 0.006
    rows = [line for line in printed.splitlines() if line.startswith(tuple(example.PAIRS))]
    assert len(rows) == len(example.PAIRS)


def test_students_are_unsurer_and_farther_away_where_the_teacher_is_unsure_and_smaller_ones_farthest(drawn, capsys):
    figures, printed = drawn("fig_logit_logit", capsys)
    agreeing = {line[:24].strip(): float(line.split()[-1]) for line in printed.splitlines()[5:]}
    assert min(agreeing["student 3 times as long"], agreeing["same network"]) > agreeing["smaller student"]
    assert finding(printed, "same network") > 1.1
    above, below = np.reshape(figures["logit_logit_metrics"].axes, (2, 3))
    for axes in above:
        student_against_teacher = axes.collections[0].get_offsets()
        assert np.corrcoef(student_against_teacher.T)[0, 1] > 0.8
    for axes, sign in zip(below, (-1.0, -1.0, 1.0), strict=True):
        means = axes.lines[0].get_ydata()
        np.testing.assert_allclose(np.mean(means), np.mean(axes.collections[0].get_offsets()[:, 1]), rtol=1e-6)
        assert sign * (means[-1] - means[0]) > 0.01


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("fig_noisy_random_features", ["features"]),
        ("fig_mlp_eigenspace", ["first layer", "second layer"]),
        ("fig_cnn_eigenspace", ["first layer", "second layer"]),
    ],
)
def test_shares_slopes_and_confidence_held_against_the_paper_are_those_that_are_printed(name, layers, drawn, capsys):
    printed = drawn(name, capsys)[1]
    rows = {row.quantity: row.here for row in drawn.numbers(name, capsys)}
    for layer in layers:
        share = finding(printed, f"{layer}: share of pairs where the student is more biased")
        np.testing.assert_allclose(
            rows.pop(f"{layer}: share of pairs of directions in which the student is more biased"), share, atol=6e-4
        )
    for part, where in (("train", "training"), ("test", "new")):
        slope = finding(printed, f"slope of the bottom quarter in the logit-logit plot, {part}")
        np.testing.assert_allclose(rows.pop(f"slope where the teacher is least sure, {where} images"), slope, atol=6e-4)
    if name == "fig_noisy_random_features":
        line = next(line for line in printed.splitlines() if "confidence, wrong labels" in line)
        teacher, student = (float(part.split()[-1]) for part in line.split(" ± ")[:2])
        change = rows.pop("confidence in wrong labels, student less teacher")
        np.testing.assert_allclose(change, student - teacher, atol=2e-3)
    assert not rows


def test_slopes_held_against_the_tables_are_those_that_are_printed(drawn, capsys):
    printed = drawn("fig_logit_logit", capsys)[1]
    rows = {row.quantity: row for row in drawn.numbers("fig_logit_logit", capsys)}
    for pair, table in (("same network", "Table 3"), ("smaller student", "Table 4")):
        line = next(line for line in printed.splitlines() if line.startswith(pair))
        low_train, _, low_test, _ = (float(part.split()[-1]) for part in line.split(" ± ")[:4])
        for where, slope in (("training", low_train), ("new", low_test)):
            row = rows[f"{pair}: slope where the teacher is least sure, {where} images"]
            np.testing.assert_allclose(row.here, slope, atol=6e-3)
            assert table in row.source


def test_what_switches_change_is_the_difference_of_the_accuracies_that_are_printed(drawn, capsys):
    printed = drawn("fig_loss_switching", capsys)[1]
    rows = [row for row in drawn.numbers("fig_loss_switching", capsys) if row.quantity.startswith("accuracy")]
    lines = [
        re.split(r"  +", line) for line in printed.splitlines() if line.startswith(("interpolating  ", "stopped early"))
    ]

    def end(teacher, student):
        return next(float(line[3].split()[0]) for line in lines if line[0] == teacher and line[1].startswith(student))

    middle = sorted({line[1].split()[-1] for line in lines if "at step" in line[1]}, key=int)[1]
    expected = [
        end(teacher, f"to {to} at step {middle}") - end(teacher, before)
        for to, before in (("the labels", "the teacher alone"), ("the teacher", "the labels alone"))
        for teacher in ("interpolating", "stopped early")
    ]
    np.testing.assert_allclose([row.here for row in rows], expected, atol=2e-4)


def test_numbers_of_fits_are_exact_and_the_difference_of_accuracies_is_that_of_the_last_round(drawn, capsys):
    figures, _ = drawn("fig_estimated_label_weight", capsys)
    accuracy, estimate, search = drawn.numbers("fig_estimated_label_weight", capsys)
    axes = figures["estimated_label_weight"].axes[1]
    fixed = [line.get_ydata()[-1] for line in axes.lines if line.get_label().startswith(r"$\alpha")]
    np.testing.assert_allclose(accuracy.here, axes.containers[0].lines[0].get_ydata()[-1] - max(fixed), atol=1e-12)
    assert (estimate.here, estimate.published, search.here, search.published) == (5.0, "5", 21.0, "21")
