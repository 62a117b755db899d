"""What `inv logs` writes: the bytes of the host, and to a terminal nothing that controls it."""

from __future__ import annotations

import io
import os
import pty
import sys
from typing import TYPE_CHECKING

from stored_runs import run_of, stored

from ci.commands import runs
from ci.errors import ExitCode

if TYPE_CHECKING:
    import pytest

LINE = "a | \x1b]0;title\x07\x1b[31mred\x1b[2J 10 %\r100 % ü\n".encode()


def test_a_log_goes_into_a_file_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", stream)
    runs._write_log(LINE)
    assert stream.buffer.getvalue() == LINE  # type: ignore[attr-defined]


def test_a_log_moves_no_cursor_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        runs._write_log(LINE)
        stream.flush()
        seen = os.read(ours, 1000)
    os.close(ours)
    assert seen.decode() == "a | red 10 % 100 % ü\r\n"


def test_a_log_commands_no_runner_of_workflows(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    runs._write_log(b"a | ::x::1\n  ::set-output name=a::b\na | ##[error]c\n", frozenset())
    assert stream.buffer.getvalue().decode() == (  # type: ignore[attr-defined]
        "a | ::x::1\n\u00b7 ::set-output name=a::b\na | # #[error]c\n"
    )


def test_a_secret_of_the_runs_case_is_not_in_its_log(tmp_path, capfd) -> None:
    (tmp_path / "case.yaml").write_text("API_TOKEN: casetok-Zq8w7e6r5t4y\n")
    run = run_of(0, config="case.yaml", folder=str(tmp_path))
    log = stored(tmp_path, run) / "logs/node-a/server-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("up with casetok-Z\x1b[0mq8w7e6r5t4y\n")
    assert runs._recorded_logs(log.parents[1], run.id, "") == ExitCode.PASS
    sys.stdout.flush()
    assert capfd.readouterr().out == "node-a server-0 | up with ***\n"
