"""A host whose agent is not ours answers what no agent answers: each is that host's error."""

from __future__ import annotations

import contextlib
import json
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from ci.agent.answer_shape import nonsense_in
from ci.agent.client import Agent
from ci.commands.down import end_runs
from ci.commands.overview import ask_hosts
from ci.commands.status_table import as_text
from ci.connect.connection import LocalConnection
from ci.errors import ConnectionLost, InfrastructureError
from ci.remote.facts.facts import gather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Takes the place of Python on the host: reads past what is sent to it first, then answers.
PROGRAM = """\
#!{python}
import json, sys
stdin, stdout, mark = sys.stdin.buffer, sys.stdout.buffer, sys.argv[-1].encode()
stdin.readline()
for _ in range(2):
    stdin.read(int(stdin.read(8)))
stdout.write(mark + {ready!r} + b"\\n")
stdout.flush()
for line in stdin:
    request = json.loads(line)
    if request["do"] == "beat":
        continue
    reply = {replies!r}.get(request["do"], b'{{"id": ID, "ok": null}}\\n')
    reply = mark + reply if reply[:1] == b"{{" else reply.replace(b'{{"id"', mark + b'{{"id"')
    stdout.write(reply.replace(b"ID", str(request["id"]).encode()))
    stdout.flush()
"""
READY = b'{"event": "ready", "boot_id": "1", "home": "/root", "name": "h"}'


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    """Give the agent of a host that answers in this manner."""
    with contextlib.ExitStack() as stack:

        def connect(ready: bytes = READY, **replies: bytes) -> Agent:
            program = tmp_path / "python"
            program.write_text(PROGRAM.format(python=sys.executable, ready=ready, replies=replies))
            program.chmod(0o755)
            connection = LocalConnection("liar")
            connection.python = str(program)
            return stack.enter_context(contextlib.closing(Agent(connection, "/workspace")))

        yield connect


@pytest.mark.parametrize(
    "ready",
    [
        b'{"event": "ready"',
        b'{"event": "ready"}',
        b'{"event": "ready", "boot_id": "1"}',
        b'{"event": "ready", "a": ' + b"[" * 100_000,
        b"x" * (17 << 20),
        b"\xff\xfe",
    ],
    ids=["cut", "empty", "homeless", "deep", "long", "binary"],
)
def test_first_words_that_are_none(host, ready: bytes, monkeypatch):
    monkeypatch.setattr("ci.agent.start_agent.START_S", 2.0)
    monkeypatch.setattr("ci.connect.connection.CLOSE_S", 0.2)
    with pytest.raises(InfrastructureError, match=r"^liar: .*does not run there"):
        host(ready)


FRAMES = {
    "no JSON": b"\xff\xfe\n",
    "nothing in it": b"{}\n",
    "an id that is none": b'{"id": [1], "ok": 1}\n',
    "a size in words": b'{"id": ID, "ok": 1, "size": "four"}\n',
    "a size below zero": b'{"id": ID, "ok": 1, "size": -4}\n',
    "a terabyte": b'{"id": ID, "ok": 1, "size": 1099511627776}\n',
    "a line without end": b"x" * (17 << 20),
    "nested without end": b"[" * 1_000_000 + b"\n",
    "a number without end": b'{"id": ' + b"9" * 100_000 + b"}\n",
    "an event of nothing": b'{"event": [], "folder": {}}\n',
    "a refusal of nothing": b'{"id": ID, "refused": []}\n',
}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_that_is_none_breaks_the_connection_and_nothing_else(host, frame: str):
    agent = host(runs=FRAMES[frame])
    with pytest.raises(ConnectionLost, match=r"^liar: "):
        agent.call("runs", within_s=60)


def test_text_between_frames_is_passed_over(host):
    noise = b"a line of text\n" * 10_000 + b"[1] mail\n\x1b]0;title\x07\n"
    agent = host(runs=noise + b'{"id": ID, "ok": {"holder": null, "processes": []}}\n')
    for _ in range(2):
        assert agent.call("runs").value == {"holder": None, "processes": []}


PACKED = zlib.compress(b"line\n")
SIZES = b'{"id": ID, "ok": {"free": 0, "files": [[5, null]]}}\n'
LINE = b'{"id": ID, "ok": 5, "size": %d}\n%s' % (len(PACKED), PACKED)
GOOD = {
    "run": "run-1",
    "process": "server-0",
    "owner": "me",
    "state": "exited",
    "alive": False,
    "complete": True,
    "pid": 1,
    "started_at": "2026",
    "folder": "/x",
}
ODD_RUNS = {
    "nothing": None,
    "a list": [],
    "no holder": {"processes": []},
    "a holder that is none": {"holder": 3, "processes": []},
    "processes that are none": {"holder": None, "processes": 3},
    "a process that is none": {"holder": None, "processes": ["x"]},
    "a run that leads out": {"holder": None, "processes": [GOOD | {"run": "../../run"}]},
    "a run that is above": {"holder": None, "processes": [GOOD | {"run": ".."}]},
    "a process that leads out": {"holder": None, "processes": [GOOD | {"process": "../../../x"}]},
    "an absolute process": {"holder": None, "processes": [GOOD | {"process": "/x"}]},
    "a process of escapes": {"holder": None, "processes": [GOOD | {"process": "\x1b[2J"}]},
    "a process without a name": {"holder": None, "processes": [GOOD | {"process": ""}]},
    "a run that is a number": {"holder": None, "processes": [GOOD | {"run": 7}]},
}


@pytest.mark.parametrize("odd", ODD_RUNS)
def test_what_it_says_of_its_runs_makes_no_sense(host, odd: str):
    reply = json.dumps({"ok": ODD_RUNS[odd]})[1:].encode()
    agent = host(runs=b'{"id": ID, ' + reply + b"\n")
    overview = ask_hosts({"liar": agent})
    assert overview.rows == ()
    assert "is malformed" in overview.silent["liar"]
    text = as_text(overview)
    assert "liar" in text
    assert "\x1b" not in text


TRUE_FACTS = gather("/", [], [])
ODD_FACTS = {
    "all of it": None,
    "time_s": {"time_s": "now"},
    "took_s": {"took_s": 10**400},
    "errors": {"errors": ["x"]},
    "python": {"python": "three"},
    "memory_bytes": {"memory_bytes": "much"},
    "disk_free_bytes": {"disk_free_bytes": float("nan")},
    "interfaces": {"interfaces": [{"name": "eth0"}]},
    "addresses": {"addresses": [{"interface": "eth0", "address": "here", "prefix": 8}]},
    "accelerators": {"accelerators": [{"kind": "cuda"}]},
    "runs": {"runs": "run-1"},
    "ports_taken": {"ports_taken": {"80": "sshd"}},
    "environments": {"environments": {"vllm": []}},
    "weights": {"weights": {"/models/x": {"exists": True}}},
    "vllm": {"vllm": {"packages": ["vllm"]}},
}


@pytest.mark.parametrize("odd", ODD_FACTS)
def test_what_it_says_of_itself_makes_no_sense(host, odd: str):
    change = ODD_FACTS[odd]
    facts = None if change is None else TRUE_FACTS | change
    agent = host(facts=b'{"id": ID, ' + json.dumps({"ok": facts})[1:].encode() + b"\n")
    with pytest.raises(InfrastructureError, match=rf"^liar: .*is malformed \({odd}"):
        agent.call("facts", ports=[])


def test_what_a_host_does_not_know_is_no_nonsense():
    assert nonsense_in("facts", TRUE_FACTS) == ""
    assert (
        nonsense_in("facts", dict.fromkeys(TRUE_FACTS) | {"time_s": 1, "took_s": 0, "errors": {}})
        == ""
    )


def test_what_it_calls_itself_moves_no_cursor(host):
    odd = GOOD | {"owner": "me\x1b[2J\nother  run-9", "state": "\x1b]0;x\x07", "alive": True}
    runs = json.dumps({"ok": {"holder": None, "processes": [odd]}})[1:].encode()
    text = as_text(ask_hosts({"liar": host(runs=b'{"id": ID, ' + runs + b"\n")}))
    assert "me other run-9" in text
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("after", ["still running", "was not verified"])
def test_a_host_that_is_not_verified_after_its_stop_is_an_error(host, tmp_path: Path, after: str):
    """Its processes ended, says its `stop`; its next `runs` says otherwise, or nothing."""
    runs = json.dumps({"ok": {"holder": None, "processes": [GOOD]}})[1:].encode()
    stop = b'{"id": ID, "ok": {"state": "exited", "survivors": []}}\n'
    agent = host(runs=b'{"id": ID, ' + runs + b"\n", stop=stop)
    overview = ask_hosts({"liar": agent})
    agent.close()
    later = {"processes": [GOOD | {"alive": True}], "holder": None} if after[0] == "s" else None
    runs = json.dumps({"ok": later})[1:].encode()
    agent = host(runs=b'{"id": ID, ' + runs + b"\n", stop=stop)
    ended = end_runs({"liar": agent}, overview, ["run-1"], tmp_path)
    assert any(after in error and "liar" in error for error in ended.errors)


def test_a_log_is_not_written_through_a_link(host, tmp_path: Path):
    (tmp_path / "victim").write_text("mine")
    runs = json.dumps({"ok": {"holder": None, "processes": [GOOD]}})[1:].encode()
    agent = host(
        runs=b'{"id": ID, ' + runs + b"\n",
        stop=b'{"id": ID, "ok": {"state": "exited", "survivors": []}}\n',
        read=LINE,
        stat_files=SIZES,
    )
    overview = ask_hosts({"liar": agent})
    home = tmp_path / "runs"
    (home / "run-1" / "logs" / "liar").mkdir(parents=True)
    (home / "run-1" / "logs" / "liar" / "server-0.part").symlink_to(tmp_path / "victim")
    ended = end_runs({"liar": agent}, overview, ["run-1"], home)
    assert len(ended.errors) == 1
    assert (tmp_path / "victim").read_text() == "mine"


ODD_LOGS = {
    "more than is copied": (b'{"id": ID, "ok": 1099511627776}\n', "more than the 17179869184"),
    "a size that is none": (b'{"id": ID, "ok": "four"}\n', "its size is 'four'"),
    "no compressed data": (b'{"id": ID, "ok": 4, "size": 4}\nline', "what no agent sends"),
    "more than it has": (
        b'{"id": ID, "ok": 1, "size": %d}\n%s' % (len(PACKED), PACKED),
        "more than the 1 bytes",
    ),
}


@pytest.mark.parametrize("odd", ODD_LOGS)
def test_a_log_that_makes_no_sense_is_given_up(host, tmp_path: Path, odd: str):
    answer, why = ODD_LOGS[odd]
    runs = json.dumps({"ok": {"holder": None, "processes": [GOOD]}})[1:].encode()
    agent = host(
        runs=b'{"id": ID, ' + runs + b"\n",
        stop=b'{"id": ID, "ok": {"state": "exited", "survivors": []}}\n',
        read=answer,
        stat_files=SIZES,
    )
    ended = end_runs({"liar": agent}, ask_hosts({"liar": agent}), ["run-1"], tmp_path)
    (error,) = ended.errors
    assert why in error
    assert not list(tmp_path.rglob("*.log"))
