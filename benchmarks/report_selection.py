"""Table and log-log plot of `results/selection.json` and `memory.json`: what whole searches take, and find."""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from kdtheory.figures import STYLE

RESULTS = Path(__file__).resolve().parent / "results"
PEERS = {
    "kdtheory": "kdtheory: 20 ridges, up to 10 fits, best label weights, exact leave-one-out",
    "scikit-learn": "scikit-learn GridSearchCV(KernelRidge): 20 ridges, 5 folds",
    "himalaya": "himalaya KernelRidgeCV: 20 ridges, 5 folds",
}
MARKERS = dict(zip(PEERS, "osD", strict=True))
SPECTRA = {"slow": "8 features, full numerical rank", "fast": "3 features, fast decay"}


def main():
    """Write both."""
    searches = [each for each in results("selection") if each["name"].startswith("test_whole_searches")]
    for entry in searches:
        same = [each for each in results("memory") if all(each[key] == entry[key] for key in ("n_points", "spectrum"))]
        entry["peak_in_n2_doubles"] = same[0]["peak_in_n2_doubles"] if same else {}
    (RESULTS / "selection.md").write_text(table(searches))
    with plt.style.context(STYLE):
        plot(searches).savefig(RESULTS / "selection.png")


def results(name):
    """Entries of a results file."""
    return json.loads((RESULTS / f"{name}.json").read_text())["benchmarks"]


def table(searches):
    """Return one row for every size and spectrum; what stands in three parts is of all three, in one order."""
    header = ("points", "data", f"seconds: {', '.join(PEERS)}", "times faster", "held-out error", "memory, n² doubles")
    rows = [header, ("---",) * len(header)]
    for entry in searches:
        rows.append(
            (
                f"{entry['n_points']:,}",
                SPECTRA[entry["spectrum"]],
                _parts(entry["median_seconds_of"], "{:.3g}"),
                _parts(entry["times_faster_than"], "{:.1f}"),
                _parts(entry["error_on_test_points"], "{:.4f}"),
                _parts(entry["peak_in_n2_doubles"], "{:.1f}"),
            )
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _parts(values, form):
    return " / ".join(form.format(values[name]) for name in PEERS if name in values) or "not measured"


def plot(searches):
    """Return the figure: seconds against points, one panel for each spectrum."""
    figure, panels = plt.subplots(1, len(SPECTRA), figsize=(5.5, 2.8), sharey=True)
    for axes, (spectrum, title) in zip(panels, SPECTRA.items(), strict=True):
        entries = sorted((e for e in searches if e["spectrum"] == spectrum), key=lambda entry: entry["n_points"])
        sizes = [entry["n_points"] for entry in entries]
        for name, label in PEERS.items():
            seconds = [entry["median_seconds_of"][name] for entry in entries]
            axes.plot(sizes, seconds, marker=MARKERS[name], label=label)
        axes.set(xscale="log", yscale="log", title=title, xlabel="points")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.set_xticks([], minor=True)
    panels[0].set_ylabel("seconds")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center")
    return figure


if __name__ == "__main__":
    mpl.use("Agg")
    main()
