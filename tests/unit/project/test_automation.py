"""docs/automation.md: its units are valid, and all ways run the same command."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest

import tasks
from ci.paths import PROJECT

TEXT = (PROJECT / "docs" / "automation.md").read_text("utf-8")
UNITS = dict(re.findall(r"`/etc/systemd/system/(\S+)`:\n\n```ini\n(.*?)```", TEXT, re.DOTALL))
(CRON,) = re.findall(r"```cron\n(.*?)\n```", TEXT, re.DOTALL)
COMMAND = re.findall(r"^/opt/.*? suite\.run .*$", TEXT, re.MULTILINE)[0]


def test_all_ways_run_the_same_command():
    (started,) = re.findall(r"^ExecStart=(.*)$", UNITS["lamplighter.service"], re.MULTILINE)
    assert started == COMMAND
    assert f"&& {COMMAND} >>" in CRON


def test_the_crontab_has_one_line_with_five_fields():
    assert "\n" not in CRON
    assert "%" not in CRON  # cron makes a new line of it
    assert re.fullmatch(r"0 22 \* \* \* cd /opt/lamplighter && .*", CRON)


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="no systemd-analyze here, which verifies units"
)
def test_systemd_accepts_the_units(tmp_path):
    """It looks for the program, too; this one is elsewhere in the test."""
    program = tmp_path / "inv"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace(COMMAND.split()[0], str(program)), "utf-8")
    assert set(UNITS) == {"lamplighter.service", "lamplighter.timer"}
    command = ["systemd-analyze", "verify", *sorted(str(tmp_path / name) for name in UNITS)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    about = [line for line in ended.stderr.splitlines() if "lamplighter." in line]
    assert (ended.returncode, about) == (0, [])


def test_the_task_accepts_the_command():
    if "suite.run" not in tasks.namespace.task_names:
        pytest.skip("this tree has no `inv suite.run` yet")
    has = {
        f"--{each.name.replace('_', '-')}" for each in tasks.namespace["suite.run"].get_arguments()
    }
    assert {word for word in shlex.split(COMMAND) if word.startswith("--")} <= has
