"""What tests have made is taken away also where a runner is told to end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
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
