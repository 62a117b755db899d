"""What goes wrong while an end is explained or cleared up never takes the place of its cause."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from plans import preparation
from processes import process_of
from tool_outputs import job

from ci import evaluate
from ci.agent.answers import Answer
from ci.agent.process import ProcessState, RemoteProcess, tail_of
from ci.commands import down
from ci.commands.overview import Overview, RunProcess
from ci.errors import ConnectionLost, InfrastructureError, Interrupted
from ci.lab import lab
from ci.prepare import prepare
from ci.tools.model import Result


def ended(state: ProcessState) -> RemoteProcess:
    return process_of("x", state, host="h1", unreadable=ConnectionLost("h1: the link is down"))


def test_a_log_that_cannot_be_read_is_a_value():
    assert tail_of(ended(ProcessState("exited")), 5) == ((), "h1: the link is down")


@pytest.mark.parametrize(
    ("state", "refused", "words"),
    [
        (
            ProcessState("exited", exit_code=1),
            set(),
            ["vllm", "exited (exit 1)", "the link is down"],
        ),
        (ProcessState("deadline", signal=15), set(), ["deadline (signal 15)", "the link is down"]),
        (
            ProcessState("exited", exit_code=1),
            {"pypi.example:443"},
            ["pypi.example:443", "link is down"],
        ),
    ],
)
def test_a_recipe_that_failed_is_told_without_its_log(
    state: ProcessState, refused: set[str], words: list[str]
):
    error = prepare._failure(preparation("vllm", "h1"), ended(state), refused)
    assert all(word in str(error) for word in words)
    assert error.tail == ()


class Said:
    """A tool that gives back what it was shown."""

    OUTPUTS = ()

    @staticmethod
    def parse(_: object, output: object) -> Result:
        return Result(problems=(f"exit {output.exit_code}: {output.log}",))


@pytest.mark.parametrize("code", [0, 1])
def test_an_evaluation_is_read_without_its_log(tmp_path, code: int):
    process = ended(ProcessState("exited", exit_code=code))
    result = evaluate._read(Said, job("aisbench"), process, tmp_path)
    assert result.problems == (f"exit {code}: its log cannot be read: h1: the link is down",)


@pytest.mark.parametrize(
    ("before", "problems"),
    [
        (("", ""), ("no summary",)),
        (("not fetched", ""), ("not fetched", "no summary")),
        (("not fetched", "disk full"), ("not fetched", "disk full", "no summary")),
    ],
)
def test_the_cause_of_missing_output_comes_before_what_is_missing(
    before: tuple[str, str], problems: tuple[str, ...]
):
    assert evaluate.with_problems(Result(problems=("no summary",)), *before).problems == problems


def test_logs_that_find_no_room_here_hide_nothing_of_what_was_ended(tmp_path):
    row = RunProcess("h1", "run-1", "server", "me", "running", True, "", 7, "/w/run-1/server")  # noqa: FBT003

    class Agent:
        host, state = "h1", "/w/.lamplighter/h1"

        def ask(self, do: str, *_: object, **__: object) -> Future:
            reply: Future = Future()
            nothing = {"holder": None, "processes": []}
            sizes = {"free": 0, "files": [(9, None)]}
            values = {"read": 9, "runs": nothing, "stat_files": sizes}
            reply.set_result(Answer(values.get(do, {"state": "stopped", "survivors": []})))
            return reply

    overview = Overview(("h1",), (row,), (), {}, {})
    (tmp_path / "run-1").write_text("a file where a folder is needed")
    result = down.end_runs({"h1": Agent()}, overview, ["run-1"], tmp_path)
    assert result.stopped == ((row, "stopped"),)
    assert "run-1/logs/h1: Not a directory; make room" in result.errors[0]


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (InfrastructureError("h1's sshd does not listen"), InfrastructureError, "does not listen"),
        (Interrupted("interrupted by SIGINT"), Interrupted, "SIGINT"),
        (KeyboardInterrupt("by hand"), KeyboardInterrupt, "by hand"),
    ],
)
def test_a_lab_that_cannot_be_taken_away_again_says_first_why_it_was_not_made(
    tmp_path, monkeypatch, cause: BaseException, kind: type[BaseException], words: str
):
    def fail(_: object) -> None:
        raise cause

    def stay(_: object) -> None:
        raise InfrastructureError("processes of the lab do not end")

    monkeypatch.setattr(lab, "_make", fail)
    monkeypatch.setattr(lab, "_remove", stay)
    monkeypatch.setattr(lab, "need_programs", lambda _: None)
    with pytest.raises(kind, match=words) as raised:
        lab.up(tmp_path / "lab", 1, cluster_file=tmp_path / "c.yaml", root=False)
    if kind is InfrastructureError:
        assert "do not end" in str(raised.value)
