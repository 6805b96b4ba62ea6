"""Set up and run the project's tasks on a machine that has only git and python3 with pip.

    python3 run.py figures      draw the papers' figures into figures/
    python3 run.py test         run the tests
    python3 run.py check        lint, format, types, import layers, pinned versions
    python3 run.py benchmarks   measure, into benchmarks/results/
    python3 run.py lock         pin the newest versions into constraints/dev.txt

Every task first makes sure of its own set-up: a pinned uv in .tools, and an environment in .venv with the versions of
constraints/dev.txt. Arguments behind the task go to the program that runs it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import ssl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / "constraints" / "dev.txt"
UV_VERSION = "0.13.8"
OLDEST_PYTHON = (3, 11)
BINARIES = "Scripts" if os.name == "nt" else "bin"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def run(*command: str | Path, **variables: str) -> None:
    """Run a command in the repository, and stop with its exit code when it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    code = subprocess.run([str(part) for part in command], cwd=ROOT, env={**environment, **variables}).returncode
    if code:
        sys.exit(code)


def uv(*arguments: str | Path) -> None:
    """Run the pinned uv, installed on first use; it never downloads a Python."""
    if not (TOOLS / f"uv-{UV_VERSION}.dist-info").exists():
        if importlib.util.find_spec("pip") is None:
            sys.exit(f"{sys.executable} has no pip: install it (on Debian: apt-get install python3-pip)")
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--no-deps")
        run(*pip, "--target", TOOLS, f"uv=={UV_VERSION}", PIP_ROOT_USER_ACTION="ignore")
    # Behind a proxy with its own authority only the system's certificates know it; a bare machine may have none.
    certificates = {"UV_SYSTEM_CERTS": "true"} if ssl.get_default_verify_paths().cafile else {}
    run(TOOLS / "bin" / "uv", *arguments, UV_PYTHON_DOWNLOADS="never", **certificates)


def make_environment() -> None:
    """Make .venv, or bring it up to date when the pinned versions or this Python have changed."""
    python = sys.executable if sys.version_info >= OLDEST_PYTHON else ">={}.{}".format(*OLDEST_PYTHON)
    recipe = CONSTRAINTS.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + python.encode()
    digest = hashlib.sha256(recipe).hexdigest()
    stamp = VENV / "made-from"
    if stamp.exists() and stamp.read_text() == digest:
        return
    uv("venv", "--quiet", "--clear", "--python", python, VENV)
    uv("pip", "sync", "--quiet", "--python", VENV, "--require-hashes", CONSTRAINTS)
    uv("pip", "install", "--quiet", "--python", VENV, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    stamp.write_text(digest)


def program(name: str) -> Path:
    """Path of a program of the environment."""
    return VENV / BINARIES / name


def compile_constraints(output: Path) -> None:
    """Pin the dependencies of pyproject.toml into `output`, keeping what it already pins."""
    everything = ("--all-extras", "--group", "dev", "--universal", "--python-version", "3.11", "--generate-hashes")
    plain = ("--no-annotate", "--no-header", "--no-emit-index-url", "--quiet")
    uv("pip", "compile", "pyproject.toml", *everything, *plain, "--output-file", output)


def figures(*arguments: str) -> None:
    """Run every example script."""
    for script in sorted((ROOT / "examples").glob("fig_*.py")):
        run(program("python"), script, *arguments)


def test(*arguments: str) -> None:
    """Run the tests on all cores, one BLAS thread each."""
    run(program("python"), "-m", "pytest", "--numprocesses", "auto", *arguments, **ONE_THREAD)


def check(*arguments: str) -> None:
    """Run everything that reads the code without running it."""
    run(program("ruff"), "check", *arguments)
    run(program("ruff"), "format", "--check")
    run(program("mypy"))
    run(program("lint-imports"))
    copy = VENV / "constraints.txt"
    copy.write_bytes(CONSTRAINTS.read_bytes())
    compile_constraints(copy)
    if copy.read_bytes() != CONSTRAINTS.read_bytes():
        sys.exit("constraints/dev.txt does not fit pyproject.toml: run `python3 run.py lock`")


def benchmarks(*arguments: str) -> None:
    """Run the benchmarks, in one process, and keep their results; each pins its own BLAS threads."""
    results = ROOT / "benchmarks" / "results" / "core.json"
    results.parent.mkdir(exist_ok=True)
    files = ("benchmarks/bench_core.py", "benchmarks/bench_import.py")
    run(program("python"), "-m", "pytest", *files, "--benchmark-enable", f"--benchmark-json={results}", *arguments)


def lock() -> None:
    """Pin the newest versions that work together."""
    CONSTRAINTS.unlink(missing_ok=True)
    compile_constraints(CONSTRAINTS)


def main(arguments: list[str]) -> None:
    """Run the task that the first argument names."""
    tasks = {task.__name__: task for task in (figures, test, check, benchmarks, lock)}
    if not arguments or arguments[0] not in tasks:
        sys.exit(__doc__)
    if arguments[0] != "lock":
        make_environment()
    tasks[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
