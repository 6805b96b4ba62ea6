"""Set up and run the project's tasks on a machine that has only git and python3 with pip.

    python3 run.py figures      draw the papers' figures into figures/
    python3 run.py test         run the tests
    python3 run.py docs         build the documentation into docs/_build/html, and check its links
    python3 run.py peers        run the tests beside neural-tangents, in an environment of its own
    python3 run.py compatibility [3.12|3.13|lowest ...]
                                run the tests on other Pythons, and with the smallest versions of the dependencies
    python3 run.py release      build wheel and sdist into dist/, and install them with every extra
    python3 run.py coverage     measure which lines and branches of the core and the estimators the tests run
    python3 run.py mutants      change the filters and what is built on them, and count what the tests notice
    python3 run.py check        lint, format, types, import layers, pinned versions
    python3 run.py benchmarks   measure, into benchmarks/results/
    python3 run.py lock         pin the newest versions into constraints/

Every task first makes sure of its own set-up: a pinned uv in .tools, and an environment in .venv with the versions of
constraints/dev.txt. Benchmarks beside neural-tangents, which needs an old jax, have another one in .venv-peers, with
the versions of constraints/neural-tangents.txt, and every case of compatibility has its own, such as .venv-lowest.
Arguments behind the task go to the program that runs it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
FIGURES = ROOT / "figures"
UV_VERSION = "0.13.8"
OLDEST_PYTHON = (3, 11)
COMPATIBLE = ("3.12", "3.13", "lowest")
BINARIES = "Scripts" if os.name == "nt" else "bin"
TESTS_ABOVE = (  # of the layers that are not measured
    *("tests/*figures*", "tests/test_advi*", "tests/test_command_line*", "tests/test_documentation*"),
    *("tests/test_empirical_ntk*", "tests/test_experiments*", "tests/test_explorer*", "tests/test_module_ntk*"),
    *("tests/test_nets_*", "tests/test_network_libraries*", "tests/test_report*", "tests/test_run*"),
    "tests/test_trials*",
    *(f"kdtheory/{name}" for name in ("advice", "command_line", "experiments", "figures", "nets", "report")),
)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class Environment(NamedTuple):
    """A virtual environment, and what it is made from."""

    folder: Path
    constraints: Path
    sources: tuple[str, ...]
    """What is pinned besides the dependencies of pyproject.toml."""
    before_python: tuple[int, int]

    def program(self, name: str) -> Path:
        """Path of a program of the environment."""
        return self.folder / BINARIES / name


MAIN = Environment(ROOT / ".venv", ROOT / "constraints" / "dev.txt", ("--extra", "all", "--group", "dev"), (4, 0))
PEERS = Environment(
    ROOT / ".venv-peers",
    ROOT / "constraints" / "neural-tangents.txt",
    (
        "constraints/neural-tangents.in",
        "--extra",
        "neural-tangents",
        "--excludes",
        "constraints/neural-tangents-excludes.txt",
        "--group",
        "build",
    ),
    (3, 14),  # the last Python with wheels of its jax is 3.13
)


def clean_environment() -> dict[str, str]:
    """Give the variables of this process, but for those that point to other environments or forbid compiled modules.

    Every task starts Python many times, and compiling what it imports takes longer than most of them.
    """
    others = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in others}


def kept_in(folder: Path) -> dict[str, str]:
    """Let JAX keep what it compiles in an environment: processes that draw, or test, run many of the same programs."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def run(*command: str | Path, **variables: str) -> None:
    """Run a command in the repository, and stop with its exit code when it fails."""
    code = subprocess.run([str(part) for part in command], cwd=ROOT, env=clean_environment() | variables).returncode
    if code:
        sys.exit(code)


def uv(*arguments: str | Path) -> None:
    """Run the pinned uv; it never downloads a Python."""
    install_uv()
    # Behind a proxy with its own authority only the system's certificates know it; a bare machine may have none.
    certificates = {"UV_SYSTEM_CERTS": "true"} if ssl.get_default_verify_paths().cafile else {}
    run(TOOLS / "bin" / "uv", *arguments, UV_PYTHON_DOWNLOADS="never", **certificates)


def install_uv() -> None:
    """Install the pinned uv on first use."""
    if not (TOOLS / f"uv-{UV_VERSION}.dist-info").exists():
        if importlib.util.find_spec("pip") is None:
            sys.exit(f"{sys.executable} has no pip: install it (on Debian: apt-get install python3-pip)")
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--no-deps")
        run(*pip, "--target", TOOLS, f"uv=={UV_VERSION}", PIP_ROOT_USER_ACTION="ignore")


def make(environment: Environment) -> None:
    """Make an environment, or bring it up to date when the pinned versions or this Python have changed."""
    folder, constraints, _, before = environment
    fits = OLDEST_PYTHON <= sys.version_info[:2] < before
    python = sys.executable if fits else ">={}.{},<{}.{}".format(*OLDEST_PYTHON, *before)
    recipe = constraints.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + python.encode()
    digest = hashlib.sha256(recipe).hexdigest()
    stamp = folder / "made-from"
    if stamp.exists() and stamp.read_text() == digest:
        return
    uv("venv", "--quiet", "--clear", "--python", python, folder)
    uv("pip", "sync", "--quiet", "--python", folder, "--require-hashes", constraints)
    uv("pip", "install", "--quiet", "--python", folder, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    stamp.write_text(digest)


def compile_constraints(environment: Environment, output: Path) -> None:
    """Pin the dependencies of an environment into `output`, keeping what it already pins."""
    universal = ("--universal", "--python-version", "3.11", "--generate-hashes")
    plain = ("--no-annotate", "--no-header", "--no-emit-index-url", "--quiet")
    uv("pip", "compile", "pyproject.toml", *environment.sources, *universal, *plain, "--output-file", output)


def figures(*arguments: str) -> None:
    """Run every example script at its quick size, as many at once as there are cores, with one BLAS thread each."""
    parser = argparse.ArgumentParser(prog="run.py figures", description="Draw every figure at its quick size.")
    parser.add_argument("--output", metavar="FOLDER", default=FIGURES, help="where to write them, %(default)s")
    known, others = parser.parse_known_args(arguments)
    if others:
        parser.error(f"the scripts do not all know {' '.join(others)}: run one by itself, see examples/NAME.py --help")
    folder = Path(known.output).absolute()
    run(MAIN.program("kdtheory"), "reproduce", "all", "--quick", "--out", folder, **ONE_THREAD | kept_in(MAIN.folder))


def test(*arguments: str) -> None:
    """Run the tests on all cores, one BLAS thread each, and most tests of a file in one process."""
    run_tests(MAIN.program("python"), *arguments)


def run_tests(python: Path, *arguments: str) -> None:
    """Run the tests with the Python of an environment."""
    parallel = ("--numprocesses", "auto", "--dist", "worksteal")
    run(python, "-m", "pytest", *parallel, *arguments, **ONE_THREAD | kept_in(python.parents[1]))


def coverage(*arguments: str) -> None:
    """Measure lines and branches of the layers below figures, networks and commands, and fail where too few are run.

    Their own tests run, with few examples each, but not those of the layers above.
    """
    measured = (MAIN.program("python"), "-m", "coverage")
    (ROOT / "build" / "coverage").mkdir(parents=True, exist_ok=True)
    run(*measured, "erase")
    above = [f"--ignore-glob={pattern}" for pattern in TESTS_ABOVE]
    # Measured, processes that are killed may leave others waiting for them.
    above += ["--deselect=tests/test_distributed.py::test_a_solve_goes_on_with_the_same_bits_when_workers_die"]
    options = ("--quiet", "--hypothesis-profile=brief", "--numprocesses", "auto", "--dist", "worksteal", *above)
    run(*measured, "run", "-m", "pytest", *options, "tests", "kdtheory", *arguments, **ONE_THREAD)
    run(*measured, "combine", "--quiet")
    run(*measured, "report")


def mutants(*arguments: str) -> None:
    """Make small changes to the filters and what is built on them, one at a time, and list those no test notices."""
    if not arguments:  # else those mutants are tried again that the names fit
        shutil.rmtree(ROOT / "mutants", ignore_errors=True)
    run(MAIN.program("python"), "-m", "mutmut", "run", *arguments, **ONE_THREAD)
    run(MAIN.program("python"), "-m", "benchmarks.report_mutation")


def docs(*arguments: str) -> None:
    """Build the documentation, warnings as errors, around new figures, and follow every link within it."""
    drawn = FIGURES / "summary.csv"
    sources = [file for folder in ("kdtheory", "examples") for file in (ROOT / folder).rglob("*.py")]
    if not drawn.exists() or drawn.stat().st_mtime < max(file.stat().st_mtime for file in sources):
        figures()
    built = ROOT / "docs" / "_build"
    sphinx = ("-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--jobs", "auto", *arguments)
    run(
        MAIN.program("python"),
        *sphinx,
        "--doctree-dir",
        built / "doctrees",
        ROOT / "docs",
        built / "html",
        **ONE_THREAD,
    )
    run(MAIN.program("python"), ROOT / "docs" / "check_links.py", built / "html")


def peers(*arguments: str) -> None:
    """Run what is tested against neural-tangents itself, with the old jax that it needs."""
    make(PEERS)
    files = sorted((ROOT / "tests").glob("test_neural_tangents*.py"))
    run(PEERS.program("python"), "-m", "pytest", *files, *arguments, **ONE_THREAD)


def interpreter(version: str) -> str | None:
    """Path of a Python of this version, be it one of pyenv's or another that uv finds; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in pyenv.glob(f"versions/{version}.*/bin/python"):
        return str(python)
    install_uv()
    command = (str(TOOLS / "bin" / "uv"), "python", "find", "--system", version)
    found = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"UV_PYTHON_DOWNLOADS": "never"})
    return found.stdout.strip() if found.returncode == 0 else None


def compatibility(*arguments: str) -> None:
    """Run the tests on other Pythons, and on the oldest one with the smallest versions that pyproject.toml allows."""
    cases = [argument for argument in arguments if re.fullmatch(r"3\.\d+|lowest", argument)] or COMPATIBLE
    options = [argument for argument in arguments if argument not in cases]
    failed = []
    for case in cases:
        version = "{}.{}".format(*OLDEST_PYTHON) if case == "lowest" else case
        python = interpreter(version)
        if python is None:
            print(f"{case}: not tested, for there is no Python {version}", flush=True)
            continue
        folder = ROOT / f".venv-{case}"
        pinned = folder / "requirements.txt"
        versions = ("--resolution", "lowest-direct") if case == "lowest" else ("--constraints", MAIN.constraints)
        needed = ("pyproject.toml", "--extra", "all", "--group", "test", "--group", "build")
        uv("venv", "--quiet", "--clear", "--python", python, folder)
        uv("pip", "compile", "--quiet", "--python", folder, *needed, *versions, "--output-file", pinned)
        uv("pip", "sync", "--quiet", "--python", folder, pinned)
        uv("pip", "install", "--quiet", "--python", folder, "--no-deps", "--no-build-isolation", "--editable", ROOT)
        print(f"{case}: {python}", *re.findall(r"^\S+==\S+", pinned.read_text(), re.MULTILINE), flush=True)
        try:
            run_tests(folder / BINARIES / "python", *options)
        except SystemExit:
            failed.append(case)
    if failed:
        sys.exit(f"the tests fail with {', '.join(failed)}")


def release(*arguments: str) -> None:
    """Build the wheel and the sdist, and try the wheel with every extra, or with those given, in empty environments."""
    import tomllib  # which older Pythons lack, that do not get here

    built, empty = ROOT / "dist", ROOT / "build" / "release"
    shutil.rmtree(built, ignore_errors=True)
    uv("build", "--quiet", "--no-build-isolation", "--python", MAIN.folder, "--out-dir", built, ROOT)
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    large = {"torch": "gigabytes", "neural-tangents": "has an environment of its own"}
    for extra in arguments or ("", *(name for name in extras if name not in large)):
        uv("venv", "--quiet", "--clear", "--python", MAIN.program("python"), empty)
        what = f"kdtheory[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
        uv("pip", "install", "--quiet", "--python", empty, what)
        run(empty / BINARIES / "python", "-P", ROOT / "tests" / "installation.py", extra, KDTHEORY_AT=str(empty))
    print(f"{wheel.name} and {sdist.name} are in {built}")


def check(*arguments: str) -> None:
    """Run everything that reads the code without running it."""
    run(MAIN.program("ruff"), "check", *arguments)
    run(MAIN.program("ruff"), "format", "--check")
    run(MAIN.program("mypy"))
    run(MAIN.program("pyright"), "--project", "tests/strict_user", "--pythonpath", MAIN.program("python"))
    run(MAIN.program("lint-imports"))
    for environment in (MAIN, PEERS):
        pinned = environment.constraints
        copy = MAIN.folder / pinned.name
        copy.write_bytes(pinned.read_bytes())
        compile_constraints(environment, copy)
        if copy.read_bytes() != pinned.read_bytes():
            sys.exit(f"constraints/{pinned.name} does not fit pyproject.toml: run `python3 run.py lock`")


def benchmarks(*arguments: str) -> None:
    """Run the benchmarks, each set in one process, and keep their results; each pins its own BLAS threads."""
    make(PEERS)
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    for environment, name, files in (
        (MAIN, "core", ("benchmarks/bench_core.py", "benchmarks/bench_import.py")),
        (MAIN, "selection", ("benchmarks/bench_selection.py",)),
        (MAIN, "memory", ("benchmarks/bench_memory.py",)),
        (MAIN, "operators", ("benchmarks/bench_operators.py",)),
        (MAIN, "scaling", ("benchmarks/bench_scaling.py",)),
        (MAIN, "distributed", ("benchmarks/bench_distributed.py",)),
        (PEERS, "flow", ("benchmarks/bench_flow.py",)),
        (PEERS, "ntk", ("benchmarks/bench_ntk.py",)),
        (PEERS, "empirical_ntk", ("benchmarks/bench_empirical_ntk.py",)),
    ):
        keep = ("--benchmark-enable", f"--benchmark-json={results / name}.json")
        run(environment.program("python"), "-m", "pytest", *files, *keep, *arguments)
    for report in ("selection", "scaling"):
        run(MAIN.program("python"), "-m", f"benchmarks.report_{report}")


def lock() -> None:
    """Pin the newest versions that work together."""
    for environment in (MAIN, PEERS):
        environment.constraints.unlink(missing_ok=True)
        compile_constraints(environment, environment.constraints)


def main(arguments: list[str]) -> None:
    """Run the task that the first argument names."""
    tasks = {
        task.__name__: task
        for task in (*(figures, test, docs, coverage, mutants, peers, compatibility, release, check, benchmarks, lock),)
    }
    if not arguments or arguments[0] not in tasks:
        sys.exit(__doc__)
    if arguments[0] not in ("lock", "compatibility"):
        make(MAIN)
    tasks[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
