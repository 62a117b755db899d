"""What tests have made is taken away also where a runner is told to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hosts_here import until
from lab_fixture import traces

from ci.lab.model import load

CONFTEST = Path(__file__).parents[2] / "conftest.py"
MAKES_SOMETHING = """
import pathlib, threading, pytest

@pytest.fixture
def made():
    pathlib.Path("made").touch()
    yield
    pathlib.Path("made").unlink()

def test_it(made):
    print("begun", flush=True)
    threading.Event().wait(30)
"""


MAKES_A_LAB = """
import threading

def test_it(labs, as_root):
    print(labs(1).name, flush=True)
    open("begun", "w").close()
    threading.Event().wait(600)
"""


@pytest.mark.usefixtures("as_root")
def test_a_lab_of_a_parallel_worker_that_was_killed_is_taken_away(tmp_path):
    (tmp_path / "test_it.py").write_text(MAKES_A_LAB)
    (tmp_path / "conftest.py").symlink_to(CONFTEST)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "1"]
    with subprocess.Popen(
        [*argv, "--basetemp", str(tmp_path / "base"), "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CONFTEST.parent)},
        stdout=subprocess.DEVNULL,
    ) as run:
        until((tmp_path / "begun").exists)
        (state,) = (tmp_path / "base").rglob("lab.json")
        lab = load(state.parent)
        (worker,) = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        run.send_signal(signal.SIGINT)
    assert not any(traces(lab).values())
    assert not state.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ended_test_run_takes_away_what_it_made(tmp_path, number):
    (tmp_path / "test_it.py").write_text(MAKES_SOMETHING)
    (tmp_path / "conftest.py").symlink_to(CONFTEST)
    # As a shell that is no terminal's starts what is in the background.
    ignoring = "trap '' INT; exec \"$0\" -m pytest -s -p no:cacheprovider ."
    with subprocess.Popen(
        ["sh", "-c", ignoring, sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CONFTEST.parent)},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        while "begun" not in (line := run.stdout.readline()):
            assert line, "it did not begin"
        run.send_signal(number)
        run.stdout.read()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert not (tmp_path / "made").exists()
