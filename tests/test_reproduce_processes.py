"""`kdtheory reproduce` as it is installed and called: processes, interrupts, and a wheel without a repository."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import kdtheory
from kdtheory.command_line._drawing import Job, run_all
from tests.examples import EXAMPLES
from tests.test_reproduce import write_script

ROOT = Path(kdtheory.__file__).parents[1]
CODE = """
import sys
from pathlib import Path
from kdtheory.command_line import _targets, main
if __name__ == "__main__":
    _targets.PACKAGE = Path(sys.argv.pop(1))
    main()
"""


@pytest.fixture
def program(tmp_path):
    """Begin of a command line that knows only the scripts of a folder beside a package, and that folder."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "program.py").write_text(CODE)
    return [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "kdtheory")], tmp_path / "examples"


def environment(**variables):
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def wait_for(path, seconds=60.0):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_complete_and_leaves_no_half_written_file_and_no_process(ending, program, tmp_path):
    command, examples = program
    write_script(examples, "first")
    note = tmp_path / "pid"
    begun = [
        "import multiprocessing",
        "left = multiprocessing.Semaphore()",  # of which Python would warn
        f"Path('{note}.new').write_text(str(os.getpid()))",
        f"os.replace('{note}.new', '{note}')",
        "time.sleep(60)",
    ]
    write_script(examples, "second", body="; ".join(begun))
    out = tmp_path / "out"
    out.mkdir()
    (out / "second.json").write_text("old")
    running = subprocess.Popen(
        [*command, "reproduce", "all", "--jobs", "1", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    wait_for(note)
    running.send_signal(ending)
    printed, complaints = running.communicate(timeout=30)
    assert running.returncode == 130
    assert printed == ""
    assert complaints == "Stopped: what was complete is kept, and nothing else was written\n"
    names = ["first.json", "first.pdf", "first.png", "first.txt", "second.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "second.json").read_text() == "old"
    assert not is_alive(int(note.read_text()))


def test_a_process_that_is_killed_is_a_failure_and_the_others_go_on(tmp_path):
    write_script(tmp_path, "killed", body="os.kill(os.getpid(), signal.SIGKILL)")
    write_script(tmp_path, "good")
    jobs = [
        Job(tmp_path / f"fig_{name}.py", ("--output", str(tmp_path / name)), may_be_wrong=False)
        for name in ("killed", "good")
    ]
    before = dict(os.environ)
    outcomes = {number: outcome for number, outcome in run_all(jobs, 1) if outcome is not None}
    assert "was killed" in outcomes[0].failure
    assert not outcomes[0].is_done
    assert outcomes[1].is_done
    assert [row.verdict for row in outcomes[1].numbers] == ["met", "not as printed"]
    assert (tmp_path / "good" / "good.png").stat().st_size > 0
    assert dict(os.environ) == before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_what_a_script_leaves_running_is_not_waited_for(tmp_path):
    body = (
        "import subprocess, sys, threading, time; from pathlib import Path;"
        f" child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']);"
        f" Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid));"
        " threading.Thread(target=child.wait).start()"
    )
    write_script(tmp_path, "leaving", body=body)
    begin = time.monotonic()
    job = Job(tmp_path / "fig_leaving.py", ("--output", str(tmp_path / "out")), may_be_wrong=False)
    outcomes = [outcome for _, outcome in run_all([job], 1) if outcome is not None]
    assert [outcome.is_done for outcome in outcomes] == [True]
    assert time.monotonic() - begin < 200.0
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_wheel_reproduces_the_published_losses_without_a_repository(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").iterdir()
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    installed = tmp_path / "site" / "kdtheory"
    assert {path.name for path in (installed / "examples").iterdir()} == {
        path.name for path in EXAMPLES.iterdir() if path.is_file()
    }
    measured = Path("benchmarks", "results", "scaling.json")  # which a script draws
    assert (installed / measured).read_bytes() == (ROOT / measured).read_bytes()
    done = subprocess.run(
        [
            *(sys.executable, "-c", "import kdtheory.command_line as it; print(it.__file__); it.main()"),
            *("reproduce", "sine", "--jobs", "1", "--out", "out"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=str(tmp_path / "site")),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == str(installed / "command_line" / "__init__.py")
    assert "14 met" in done.stdout
    drawn = {path.stem for path in (tmp_path / "out").glob("*.png")}
    assert drawn == {"sine_solutions", "sine_shrinkage", "sine_shrinkage_ratios"}
