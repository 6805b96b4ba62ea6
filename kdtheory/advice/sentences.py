"""The advice in plain sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kdtheory.advice.choosing import LITTLE
from kdtheory.estimators import Nystrom

if TYPE_CHECKING:
    from kdtheory.advice.advising import Advice
    from kdtheory.advice.choosing import Gain

_ANSWERS = {
    "yes": "Distillation helps on data like these",
    "no": "Distillation does not help on data like these",
    "cannot be told": "Whether distillation helps cannot be told from {rows} rows",
}


def sentences(advice: Advice) -> list[str]:
    """Remarks on the table, the answer, how it was found, the errors and the model."""
    table = advice.table
    parameters = advice.chosen.model.best_params_
    n_steps = parameters["n_steps"]
    columns = f"{table.n_rows:,} rows, {len(table.numbers)} columns of numbers"
    if table.categories:
        columns += f" and {len(table.categories)} of categories"
    answer = _ANSWERS[advice.verdict].format(rows=f"{table.n_rows:,}")
    if advice.verdict == "yes" and advice.gain.share < LITTLE:
        answer = "Distillation helps a little on data like these"
    lines = [
        f"{columns}, target {table.target_name}.",
        *table.remarks,
        *_solver(advice),
        "",
        f"{answer}: {_gain_in_words(advice.gain)}, {_how(advice)}.",
        *_measured(advice),
        "",
        *_errors(advice),
        "",
        f"Chosen: {n_steps} fit{'s' * (n_steps > 1)}, gamma {parameters['gamma']:.4g}, ridge"
        f" {parameters['ridge']:.4g}{_label_weights(parameters)}.",
        f"Best kernel ridge regression: gamma {advice.plain.gamma:.4g}, ridge {advice.plain.plain_ridge:.4g}, on"
        " standardised columns and with an intercept, which scikit-learn's KernelRidge lacks.",
    ]
    if n_steps == 1:
        lines.append("No distilled model was better by more than can be noise: the model is kernel ridge regression.")
    elif advice.verdict == "yes" and advice.refitted is None:
        lines.append("The errors of single rows decide this: outer folds (5, say) fit everything anew to judge it.")
    elif advice.verdict != "yes":
        lines.append("With the distilled model nothing is known to be won; kernel ridge regression is simpler.")
    return lines


def _gain_in_words(gain: Gain) -> str:
    share, error = 100.0 * gain.share, 100.0 * gain.share_standard_error
    return (
        f"its gain in mean squared error over the best kernel ridge regression is {_with_error(gain)}"
        f" ({_rounded(share, error)} % ± {_rounded(error, error)} %)"
    )


def _measured(advice: Advice) -> list[str]:
    if advice.chosen.model.best_params_["n_steps"] == 1:
        return []
    return [f"Measured where it was chosen, which looks a little too good, the gain is {_with_error(advice.measured)}."]


def _solver(advice: Advice) -> list[str]:
    solver = advice.chosen.model.solver_
    if not isinstance(solver, Nystrom):
        return []
    return [f"So many rows need an approximation of the kernel: Nyström, with {solver.n_components:,} landmarks."]


def _how(advice: Advice) -> str:
    if advice.refitted is not None:
        return f"in {advice.n_outer_folds} outer folds of which no fit and no choice has seen anything"
    return "by exact leave-one-out, with every choice made without the rows that it is judged on"


def _errors(advice: Advice) -> list[str]:
    n_steps = advice.chosen.model.best_params_["n_steps"]
    chosen = f"chosen, {n_steps} fits" if n_steps > 1 else "chosen, the same"
    rows = [
        ("predicting the mean", advice.mean_error),
        ("kernel ridge regression", advice.measured.plain_error),
        (chosen, advice.measured.distilled_error),
    ]
    if advice.refitted is not None:
        rows += [
            ("kernel ridge, in folds", advice.refitted.plain_error),
            ("so chosen, in folds", advice.refitted.distilled_error),
        ]
    return [
        f"{'leave-one-out':<24}{'mean square':>12}{'root':>10}{'R²':>9}",
        *(
            f"{name:<24}{error:>12.5g}{math.sqrt(error):>10.4g}{1.0 - error / advice.mean_error:>9.4f}"
            for name, error in rows
        ),
    ]


def _label_weights(parameters: dict[str, object]) -> str:
    weights = parameters["label_weight"]
    if not isinstance(weights, list):
        return ""
    return ", label weights " + ", ".join(f"{weight:.3g}" for weight in weights)


def _with_error(gain: Gain) -> str:
    return f"{_rounded(gain.value, gain.standard_error)} ± {_rounded(gain.standard_error, gain.standard_error)}"


def _rounded(value: float, error: float) -> str:
    """`value` to two digits of its standard error."""
    if error == 0.0:
        return f"{value:.3g}"
    decimals = 1 - math.floor(math.log10(error))
    return f"{value:.{decimals}f}" if 0 <= decimals <= 5 else f"{value:.2g}"
