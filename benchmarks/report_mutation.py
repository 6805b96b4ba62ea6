"""Table of what `mutmut` has found, as `results/mutation.txt`, with a reason for each change that no test notices."""

import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEAST = 85.0  # per cent, for each part
NOTICED = ("killed", "timeout", "segfault", "suspicious")
HEADER = """\
$ python3 run.py mutants   # small changes of the code, one at a time, and whether some test fails with them
Properties, and what else is under a decorator or outside functions, are not changed.

"""


def mutmut(*arguments):
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def part_of(name):
    """Module that a mutant is in, or the package of it."""
    return ".".join(name.split(".")[:2])


def function_of(name):
    return re.sub(r"__mutmut_\d+$", "", name).replace("xǁ", "").replace("ǁ", ".").replace(".x_", ".")


def changed_lines(name):
    """What a mutant takes away and puts in its place, without the context."""
    lines = [line for line in mutmut("show", name).splitlines() if not line.startswith(("---", "+++", "# "))]
    return tuple(" ".join(" ".join(line[1:].split()) for line in lines if line.startswith(sign)) for sign in ("-", "+"))


def main():
    """Write the table beside the other results, and fail where too little is noticed."""
    found = dict(line.strip().rsplit(": ", 1) for line in mutmut("results", "--all", "true").splitlines())
    counts = defaultdict(Counter)
    for name, status in found.items():
        counts[part_of(name)][status] += 1
    reasons = tomllib.loads((ROOT / "benchmarks" / "unnoticed_mutants.toml").read_text())
    table, details, low = [f"{'part':24}{'mutants':>8}{'noticed':>9}{'timeouts':>10}{'score':>8}"], [], []
    for part, status in sorted(counts.items()):
        noticed, total = sum(status[each] for each in NOTICED), status.total()
        score = 100.0 * noticed / total
        table.append(f"{part:24}{total:8}{noticed:9}{status['timeout']:10}{score:7.1f}%")
        low += [part] * (score < LEAST)
    for name, status in found.items():
        if status not in NOTICED:
            function, (before, after) = function_of(name), changed_lines(name)
            known = {" ".join(line.split()): why for line, why in reasons.get(function, {}).items()}
            details += [f"{function} ({status}): {known.get(after, 'not looked at')}", f"  - {before}", f"  + {after}"]
    text = HEADER + "\n".join([*table, "", "Not noticed, and why not:", "", *details, ""])
    (ROOT / "benchmarks" / "results" / "mutation.txt").write_text(text)
    print("\n".join(table))
    if low:
        sys.exit(f"less than {LEAST:.0f} % of the mutants are noticed in {', '.join(low)}")


if __name__ == "__main__":
    main()
