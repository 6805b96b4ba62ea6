"""Effective robustness against scipy, refits without each model, mpmath and simulations; tables of accuracies."""

import csv
import re

import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.robustness import effective_robustness, read_testbed

SCALES = ["probit", "logit", "linear"]
TRANSFORMS = {"probit": scipy.stats.norm.ppf, "logit": scipy.special.logit, "linear": np.asarray}
INVERSES = {"probit": scipy.stats.norm.cdf, "logit": scipy.special.expit, "linear": np.asarray}

scales = st.sampled_from(SCALES)
seeds = st.integers(0, 2**32 - 1)


def models(seed, *, n=12, outside=4):
    """Accuracies of models near a line on the probit scale, and a mask of those that the line goes through."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.5, 2.0, n)
    y = 0.8 * x - 0.4 + 0.1 * rng.standard_normal(n)
    y[n - outside :] += 0.3
    mask = np.arange(n) < n - outside
    order = rng.permutation(n)
    return scipy.stats.norm.cdf(x)[order], scipy.stats.norm.cdf(y)[order], mask[order]


@given(seeds, scales)
def test_the_line_and_its_errors_are_those_of_scipy(seed, scale):
    p, q, mask = models(seed)
    x, y = TRANSFORMS[scale](p), TRANSFORMS[scale](q)
    peer = scipy.stats.linregress(x[mask], y[mask])
    result = effective_robustness(p, q, testbed=mask, scale=scale)
    np.testing.assert_allclose(
        [result.slope, result.intercept, result.slope_error, result.intercept_error, result.r_squared],
        [peer.slope, peer.intercept, peer.stderr, peer.intercept_stderr, peer.rvalue**2],
        rtol=1e-9,
        atol=1e-12,
    )
    np.testing.assert_allclose([result.x, result.y], [x, y], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(result.residuals, y - peer.intercept - peer.slope * x, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(result.predicted, INVERSES[scale](peer.intercept + peer.slope * x), rtol=1e-11)
    np.testing.assert_allclose(result.robustness, q - result.predicted, rtol=1e-14, atol=1e-16)
    assert result.spread == result.own_spread


@given(seeds, scales)
def test_errors_of_residuals_are_those_of_the_hat_matrix(seed, scale):
    p, q, mask = models(seed)
    x, y = TRANSFORMS[scale](p), TRANSFORMS[scale](q)
    design = np.column_stack([np.ones(12), x])
    inside = design[mask]
    coefficients, squares, *_ = np.linalg.lstsq(inside, y[mask])
    variance = squares[0] / (mask.sum() - 2)
    spread = np.einsum("ij,jk,ik->i", design, np.linalg.inv(inside.T @ inside), design)
    result = effective_robustness(p, q, testbed=mask, scale=scale)
    expected = np.sqrt(variance * np.where(mask, 1.0 - spread, 1.0 + spread))
    np.testing.assert_allclose(result.residual_errors, expected, rtol=1e-8)
    assert result.spread == pytest.approx(np.sqrt(variance), rel=1e-10)
    heights = design @ coefficients
    step = 1e-6
    slopes = (INVERSES[scale](heights + step) - INVERSES[scale](heights - step)) / (2.0 * step)
    np.testing.assert_allclose(result.robustness_errors, slopes * expected, rtol=1e-7)


def test_accuracies_on_the_probit_scale_are_exact():
    p = np.array([1e-12, 0.02, 0.31, 0.5, 0.77, 0.999, 1.0 - 1e-10])
    q = np.array([1e-13, 0.01, 0.30, 0.4, 0.70, 0.990, 1.0 - 1e-9])
    result = effective_robustness(p, q)
    with mpmath.workdps(40):
        x, y = ([mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(float(a)) - 1) for a in each] for each in (p, q))
        mean_x, mean_y = mpmath.fsum(x) / 7, mpmath.fsum(y) / 7
        slope = mpmath.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / mpmath.fsum(
            (a - mean_x) ** 2 for a in x
        )
        predicted = [mpmath.ncdf(mean_y + slope * (a - mean_x)) for a in x]
        np.testing.assert_allclose(result.x, [float(a) for a in x], rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(result.slope, float(slope), rtol=1e-12)
        np.testing.assert_allclose(result.intercept, float(mean_y - slope * mean_x), rtol=1e-11)
        np.testing.assert_allclose(result.predicted, [float(a) for a in predicted], rtol=1e-10)
        np.testing.assert_allclose(
            result.robustness, [float(mpmath.mpf(b) - a) for a, b in zip(predicted, q, strict=True)], atol=1e-13
        )


SIZES = st.sampled_from([None, (500, 200), (np.arange(12) * 100 + 100, 77), (10_000, 10_000)])


@given(seeds, scales, SIZES)
def test_held_out_models_are_compared_with_a_line_that_is_fitted_without_them(seed, scale, sizes):
    p, q, mask = models(seed)
    result = effective_robustness(p, q, testbed=mask, scale=scale, n_points=sizes)
    held_out = result.held_out()
    for model in range(12):
        without = mask & (np.arange(12) != model)
        refit = effective_robustness(p, q, testbed=without, scale=scale, n_points=sizes)
        for name in ("predicted", "robustness", "robustness_errors", "residuals", "residual_errors"):
            np.testing.assert_allclose(
                getattr(held_out, name)[model], getattr(refit, name)[model], rtol=1e-7, atol=1e-10, err_msg=name
            )


@given(seeds, scales, SIZES.filter(lambda sizes: sizes is not None))
def test_errors_with_sizes_of_test_sets_are_those_of_matrices(seed, scale, sizes):
    p, q, mask = models(seed)
    x, y = TRANSFORMS[scale](p), TRANSFORMS[scale](q)
    result = effective_robustness(p, q, testbed=mask, scale=scale, n_points=sizes)
    step = 1e-5
    slopes = [(TRANSFORMS[scale](a + step) - TRANSFORMS[scale](a - step)) / (2.0 * step) for a in (p, q)]
    v_x, v_y = (g**2 * a * (1.0 - a) / n for g, a, n in zip(slopes, (p, q), sizes, strict=True))
    known = v_y + result.slope**2 * v_x
    design = np.column_stack([np.ones(12), x])
    weights = design @ np.linalg.pinv(design[mask])
    rest = np.eye(mask.sum()) - weights[mask]
    squares = np.sum((rest @ y[mask]) ** 2)
    own = max(0.0, squares - np.trace(rest @ np.diag(known[mask]))) / (mask.sum() - 2)
    each = own + known
    assert result.own_spread == pytest.approx(np.sqrt(own), rel=1e-5, abs=1e-6)
    expected = each + weights**2 @ each[mask]
    expected[mask] = rest**2 @ each[mask]
    np.testing.assert_allclose(result.residual_errors**2, expected, rtol=1e-5, atol=1e-10)
    coefficients = np.linalg.pinv(design[mask]) ** 2 @ each[mask]
    np.testing.assert_allclose([result.intercept_error**2, result.slope_error**2], coefficients, rtol=1e-5, atol=1e-10)
    plain = effective_robustness(p, q, testbed=mask, scale=scale)
    assert result.slope == plain.slope
    assert result.own_spread <= result.spread == plain.spread
    np.testing.assert_array_equal(result.residuals, plain.residuals)


@pytest.mark.parametrize(("own", "size"), [(0.15, None), (0.0, 2000), (0.03, 2000), (0.15, 2000)])
def test_models_like_those_of_the_testbed_have_residuals_as_large_as_their_errors(own, size):
    """Ratios of variance about 1, for a model outside the testbed that is measured on fewer points, and held out."""
    rng = np.random.default_rng(0)
    outside, inside = [], []
    for _ in range(300):
        x = rng.uniform(0.0, 1.5, 30)
        y = 0.9 * x - 0.3 + own * rng.standard_normal(30)
        p, q = scipy.stats.norm.cdf(x), scipy.stats.norm.cdf(y)
        sizes = None
        if size:
            count = np.where(np.arange(30) < 29, size, 200)
            p, q = (rng.binomial(count, each) / count for each in (p, q))
            sizes = (count, count)
        result = effective_robustness(p, q, testbed=np.arange(30) < 29, n_points=sizes)
        held_out = result.held_out()
        outside.append(result.residuals[-1] / result.residual_errors[-1])
        inside.append(np.mean((held_out.residuals[:-1] / held_out.residual_errors[:-1]) ** 2))
    assert np.mean(np.square(outside)) == pytest.approx(1.0, abs=0.25)
    assert np.mean(inside) == pytest.approx(1.0, abs=0.12)


@given(seeds, scales)
def test_intervals_are_those_of_students_distribution(seed, scale):
    p, q, mask = models(seed)
    result = effective_robustness(p, q, testbed=mask, scale=scale)
    at = np.array([[0.3, 0.6], [0.7, 0.95]])
    x, n = result.x[mask], mask.sum()
    u = TRANSFORMS[scale](at)
    leverage = 1.0 / n + (u - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2)
    middle = result.intercept + result.slope * u
    np.testing.assert_allclose(result.predict(at), INVERSES[scale](middle), rtol=1e-10)
    quantile = scipy.stats.t(n - 2).ppf(0.95)
    for interval, variance in (
        (result.line_interval(at, confidence_level=0.9), leverage),
        (result.prediction_interval(at, confidence_level=0.9), 1.0 + leverage),
    ):
        half = quantile * result.spread * np.sqrt(variance)
        np.testing.assert_allclose(interval[0], INVERSES[scale](middle - half), rtol=1e-8)
        np.testing.assert_allclose(interval[1], INVERSES[scale](middle + half), rtol=1e-8)


def test_a_further_model_is_expected_to_be_measured_like_the_testbed():
    p, q, mask = models(1)
    result = effective_robustness(p, q, testbed=mask, scale="linear", n_points=(2000, 2000))
    assert 0.0 < result.own_spread < result.spread
    low, high = result.prediction_interval(0.6)
    line_low, line_high = result.line_interval(0.6)
    quantile = scipy.stats.t(mask.sum() - 2).ppf(0.975)
    assert (high - low) ** 2 - (line_high - line_low) ** 2 == pytest.approx((2.0 * quantile * result.spread) ** 2)


@given(seeds, scales)
def test_models_on_a_line_have_no_effective_robustness(seed, scale):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.3, 0.95, 8)
    q = INVERSES[scale](0.7 * TRANSFORMS[scale](p) - 0.1)
    result = effective_robustness(p, q, scale=scale)
    np.testing.assert_allclose(result.robustness, 0.0, atol=1e-13)
    assert result.r_squared == pytest.approx(1.0, abs=1e-12)
    assert result.slope == pytest.approx(0.7, rel=1e-9)


@given(seeds, scales)
def test_the_order_of_the_models_does_not_matter_and_inputs_stay_as_they_are(seed, scale):
    p, q, mask = models(seed)
    before = p.copy(), q.copy(), mask.copy()
    result = effective_robustness(p, q, testbed=mask, scale=scale)
    for array, copy in zip((p, q, mask), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    order = np.random.default_rng(seed).permutation(12)
    other = effective_robustness(p[order], q[order], testbed=mask[order], scale=scale)
    np.testing.assert_allclose(other.robustness, result.robustness[order], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(other.residual_errors, result.residual_errors[order], rtol=1e-8)


def test_accuracies_of_0_and_1_count_as_half_a_point():
    p, q = [0.0, 0.4, 0.7, 1.0, 1.0], [0.0, 0.2, 0.5, 0.9, 1.0]
    result = effective_robustness(p, q, n_points=([50, 100, 100, 100, 20], 10))
    np.testing.assert_allclose(scipy.stats.norm.cdf(result.x), [0.01, 0.4, 0.7, 1.0 - 0.005, 1.0 - 0.025], rtol=1e-12)
    np.testing.assert_allclose(scipy.stats.norm.cdf(result.y), [0.05, 0.2, 0.5, 0.9, 0.95], rtol=1e-12)
    np.testing.assert_array_equal(result.shifted, q)
    assert np.all(np.isfinite(result.robustness_errors))
    assert effective_robustness(p, q, scale="linear").x[-1] == 1.0


def test_shifted_accuracies_that_are_all_equal_leave_nothing_to_explain():
    result = effective_robustness([0.2, 0.5, 0.6, 0.9], [0.5] * 4)
    assert (result.slope, result.r_squared, result.spread) == (0.0, 0.0, 0.0)
    np.testing.assert_allclose(result.held_out().robustness, 0.0, atol=1e-15)


def test_rows_have_names_and_numbers_of_python():
    p, q, mask = models(0)
    names = [f"model {number}" for number in range(12)]
    result = effective_robustness(p, q, testbed=mask, names=names)
    rows = result.rows()
    assert [row["model"] for row in rows] == names
    assert [row["robustness"] for row in rows] == result.robustness.tolist()
    assert [row["testbed"] for row in rows] == mask.tolist()
    assert all(type(row["residual_error"]) is float and type(row["testbed"]) is bool for row in rows)


GOOD = [0.5, 0.6, 0.7, 0.8]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"reference": [50.0, 60.0, 70.0, 80.0]}, ValueError, "got 50.0 at index 0: divide percents by 100"),
        ({"shifted": [0.1, 0.2, -0.1, 0.3]}, ValueError, "shifted must hold shares, from 0 to 1, got -0.1 at index 2"),
        ({"shifted": [0.1, 0.2, 0.3]}, ValueError, "shifted must have 4 entries, one for each model, like reference"),
        ({"reference": [0.1, 0.2, np.nan, 0.4]}, ValueError, "reference must be finite"),
        ({"reference": [GOOD]}, ValueError, "reference must be 1-dimensional"),
        ({"reference": ["a", "b", "c", "d"]}, TypeError, "reference must hold real numbers"),
        (
            {"reference": [0.5, 0.6, 0.7, 1.0]},
            ValueError,
            "reference must be > 0 and < 1 on the probit scale, got 1.0 at index 3; pass n_points=(n_reference,",
        ),
        ({"shifted": [0.0, 0.1, 0.2, 0.3], "scale": "logit"}, ValueError, "shifted must be > 0 and < 1 on the logit"),
        ({"reference": [0.5] * 4}, ValueError, "reference must have different accuracies in the testbed, got 0.5"),
        ({"testbed": [True] * 3}, ValueError, "testbed must be 4 bools, one for each model, got shape (3,)"),
        ({"testbed": [0, 1, 2, 3]}, ValueError, "testbed must be 4 bools, one for each model, got shape (4,) of dtype"),
        ({"testbed": [True, True, False, False]}, ValueError, "testbed must have 3 models or more, got 2"),
        ({"scale": "log"}, ValueError, 'scale must be "probit", "logit" or "linear", got \'log\''),
        ({"names": "abcd"}, TypeError, "names must be a sequence of str, got 'abcd'"),
        ({"names": ["a", "b", "c"]}, ValueError, "names must have 4 entries, one for each model, got 3"),
        ({"names": ["a", "b", "a", "c"]}, ValueError, "names must differ, got 'a' twice"),
        ({"n_points": 100}, ValueError, "n_points must be a pair (n_reference, n_shifted), got 100"),
        ({"n_points": (0, 100)}, ValueError, "n_reference must be >= 1, got 0.0"),
        ({"n_points": (100, [1, 2])}, ValueError, "n_shifted must be one number or have shape (4,), got shape (2,)"),
        (
            {"shifted": [0.5, 0.001, 0.7, 0.8], "n_points": (100, 100)},
            ValueError,
            "n_shifted must be the number of points behind the accuracies, got 100.0, of which 0.001 at index 1 is no",
        ),
    ],
)
def test_bad_accuracies_are_refused_by_name(changes, error, message):
    arguments = {"reference": GOOD, "shifted": [0.4, 0.5, 0.6, 0.65], **changes}
    reference, shifted = arguments.pop("reference"), arguments.pop("shifted")
    with pytest.raises(error, match=re.escape(message)):
        effective_robustness(reference, shifted, **arguments)


def test_lines_through_too_little_hold_nothing_out():
    with pytest.raises(ValueError, match="testbed must have 4 models or more to hold each of them out, got 3"):
        effective_robustness([0.4, 0.5, 0.6, 0.7], GOOD, testbed=[True, True, True, False]).held_out()
    lonely = effective_robustness([0.4, 0.4, 0.8, 0.4], GOOD)
    assert lonely.residuals[2] == pytest.approx(0.0, abs=1e-14)
    assert lonely.residual_errors[2] == pytest.approx(0.0, abs=1e-7)
    with pytest.raises(ValueError, match="got the same without the one at position 2 of the testbed"):
        lonely.held_out()


def test_predictions_refuse_what_has_no_place_on_the_scale():
    result = effective_robustness([0.2, 0.5, 0.6, 0.9], GOOD)
    with pytest.raises(ValueError, match=re.escape("reference must be > 0 and < 1 on the probit scale, got 0.0")):
        result.predict(0.0)
    with pytest.raises(ValueError, match="confidence_level must be > 0 and < 1, got 1.0"):
        result.line_interval(0.5, confidence_level=1.0)
    assert result.predict(0.5).shape == ()


def write(path, *lines, encoding="utf-8"):
    path.write_text("\n".join(lines), encoding=encoding)
    return path


def test_tables_give_what_was_written(tmp_path):
    p, q, _ = models(0)
    path = tmp_path / "testbed.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "in", "name", "out 1", "out 2", "note"])
        for number, row in enumerate(zip(p, q, strict=True)):
            writer.writerow([9, 100 * row[0], f'"{number}", a', row[1] * 100, f" {row[0] * 50} ", "x\ny"])
    table = read_testbed(path, reference="in", shifted=["out 2", "out 1"], name="name", percent=True)
    assert table.names == tuple(f'"{number}", a' for number in range(12))
    assert list(table.shifted) == ["out 2", "out 1"]
    np.testing.assert_allclose(table.reference, p, rtol=1e-15)
    np.testing.assert_allclose(table.shifted["out 1"], q, rtol=1e-15)
    np.testing.assert_allclose(table.shifted["out 2"], p / 2, rtol=1e-15)
    assert table.dropped == ()


def test_shares_are_read_as_they_are_and_blank_lines_do_not_matter(tmp_path):
    path = write(tmp_path / "a.csv", "", "model,in,out", "a,1e-1,0", "", ",,", "b, 1 ,.5", "")
    table = read_testbed(path, reference="in", shifted="out")
    np.testing.assert_array_equal([table.reference, table.shifted["out"]], [[0.1, 1.0], [0.0, 0.5]])


def test_models_with_empty_cells_are_left_out_on_demand(tmp_path):
    path = write(tmp_path / "a.csv", "model,in,out,other", "a,.1,.2,", "b,,.1,.1", "c,.3,,.5", "d,.4,.5,.1")
    table = read_testbed(path, reference="in", shifted=("out",), drop_incomplete=True)
    assert (table.names, table.dropped) == (("a", "d"), ("b", "c"))
    np.testing.assert_array_equal(table.reference, [0.1, 0.4])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["model,in", "a,.1"], "line 1: must have one column 'out', got 'model', 'in'"),
        (["model,in,out,in", "a,.1,.2,.3"], "line 1: must have one column 'in', got it twice"),
        (["model;in;out", "a;.1;.2"], "line 1: must have one column 'model', got 'model;in;out'"),
        (["model,in,out", "a,.1,.2", "b,.1"], "line 3: must have 3 cells, as the heading has, got 2"),
        (["model,in,out", "a,.1,.2", "b,.1,0,5"], "line 3: must have 3 cells, as the heading has, got 4"),
        (["model,in,out", "a,.1,.2", "b,,.3"], "line 3, column 'in': must have an accuracy for 'b', got an empty cell"),
        (["model,in,out", "a,.1,n/a"], "line 2, column 'out': must be a share from 0 to 1, got 'n/a'"),
        (["model,in,out", "a,.1,nan"], "line 2, column 'out': must be a share from 0 to 1, got 'nan'"),
        (["model,in,out", "a,.1,1_0"], "line 2, column 'out': must be a share from 0 to 1, got '1_0'"),
        (["model,in,out", "a,-.1,.2"], "line 2, column 'in': must be a share from 0 to 1, got '-.1'"),
        (["model,in,out", "a,76.1,.2"], "column 'in': must be a share from 0 to 1, got '76.1'; percent=True reads"),
        (["model,in,out", "a,.1,.2", "b,.1,.2", " a ,.1,.2"], "line 4, column 'model': must differ from the other"),
        (["model,in,out", ",.1,.2"], "line 2, column 'model': must have the name of a model, got an empty cell"),
        (["model,in,out"], "must have a model with an accuracy in each of ['in', 'out'], got 0 models"),
        ([""], "must have a heading and a line for each model, got an empty file"),
        (["model,in,out", 'a,"x"y,.1'], "line 2: must be cells with commas between them, got"),
    ],
)
def test_bad_tables_are_refused_with_the_place(tmp_path, lines, message):
    path = write(tmp_path / "table.csv", *lines)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_testbed(path, reference="in", shifted="out")
    assert "table.csv" in str(caught.value)


def test_other_bad_calls_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", "model,in,out,é", "a,110,.2,0", encoding="latin-1")
    with pytest.raises(ValueError, match="must be text in UTF-8, got"):
        read_testbed(path, reference="in", shifted="out")
    write(path, "model,in,out", "a,110,.2")
    with pytest.raises(ValueError, match="must be a percent from 0 to 100, got '110'$"):
        read_testbed(path, reference="in", shifted="out", percent=True)
    with pytest.raises(ValueError, match="must be different columns"):
        read_testbed(path, reference="in", shifted="in")
    with pytest.raises(ValueError, match="shifted must name one column or more, got none"):
        read_testbed(path, reference="in", shifted=[])
    with pytest.raises(TypeError, match="reference must be the heading of a column, got 3"):
        read_testbed(path, reference=3, shifted="in")
    with pytest.raises(TypeError, match="percent must be True or False, got 1"):
        read_testbed(path, reference="in", shifted="out", percent=1)
    with pytest.raises(FileNotFoundError):
        read_testbed(tmp_path / "none.csv", reference="in", shifted="out")
