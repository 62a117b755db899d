"""Each part of each answer replaced by nonsense: the host is named, and nothing else happens."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from queue import SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import look
from hypothesis import given
from hypothesis import strategies as st
from memory_host import MemoryHost, frame

from ci.agent import process, start_process
from ci.agent.answer_shape import nonsense_in
from ci.agent.client import Agent
from ci.agent.frames import INVALID, MAX_DEPTH, FrameReader
from ci.agent.process_spec import ProcessSpec
from ci.agent.requests import Requests
from ci.agent.send_file import Source, same_there
from ci.agent.subscriptions import Subscription, Subscriptions
from ci.commands.down import end_runs
from ci.commands.nightly import find_case
from ci.commands.overview import ask_hosts
from ci.commands.status_table import as_text, as_values
from ci.commands.weights_copy import _stat_files
from ci.doctor.checks import findings_of
from ci.doctor.examine import facts_of, reach_all
from ci.doctor.installed import installed_on
from ci.errors import LamplighterError
from ci.inventory.target import Accelerator, Target
from ci.plan.model import Access
from ci.prepare import uv
from ci.record.redact import plain
from ci.remote.facts.facts import gather
from ci.request import Request
from ci.resolve import plan_on_hosts
from ci.run.processes import Processes
from ci.run.stop import clean, find_survivors
from ci.serve import probe
from ci.serve.ask import ask_from
from ci.tools.model import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NESTED: Any = []
for _ in range(MAX_DEPTH - 8):
    NESTED = [NESTED]
NONSENSE = (
    None,
    True,
    -1,
    10**30,
    float("nan"),
    "../../x",
    "\x1b[2J",
    "\ud800",
    {},
    [None],
    NESTED,
)
HOSTS = ("localhost", "localhost-2")
MARK = "liar"


# The table: the request, an honest answer, and everything here that reads it.


def deep(value: object) -> None:
    """As the record keeps it."""
    json.dumps(plain(value)).encode()


def read_facts(agent: Agent) -> None:
    agents = dict.fromkeys(HOSTS, agent)
    target = Target(name="x", address="x", accelerator=Accelerator(kind="ascend", count=1))
    with suppress(LamplighterError):
        plan = plan_on_hosts(RESOLVED, agents)
        deep(plan)
    facts, silent = facts_of(agents, RESOLVED.plan)
    deep(facts)
    for device in ("cpu", "ascend"):
        findings_of(
            RESOLVED.plan, facts, silent=silent, pairs=(), targets=dict.fromkeys(HOSTS, target),
            device=device,
        )  # fmt: skip
    overview = ask_hosts({MARK: agent})
    as_text(overview)
    deep(as_values(overview))


def read_runs(agent: Agent) -> None:
    overview = ask_hosts({MARK: agent})
    assert all(character.isprintable() or character == "\n" for character in as_text(overview))
    deep(as_values(overview))
    with suppress(LamplighterError):
        look(agent)
    find_survivors(processes_of(agent))


def read_stop(agent: Agent, home: Path) -> None:
    spec = ProcessSpec("run-1", "server-0", ("x",))
    ended = process.RemoteProcess(agent, spec, lambda _: None)
    with suppress(LamplighterError):
        str(ended.stop())
        deep(ended.state)
    row = SimpleNamespace(host=MARK, run="run-1", process="lease", folder="/x", alive=True)
    overview = SimpleNamespace(of=lambda _: [row])
    end_runs({MARK: agent}, overview, ["run-1"], home)  # type: ignore[arg-type]


def read_start(agent: Agent) -> None:
    started = start_process.start(agent, ProcessSpec("run-1", "server-0", ("x",)), lambda _: None)
    str(started.state)


def read_http(agent: Agent) -> None:
    ask, endpoint = ask_from(agent, Access()), Endpoint("h", 1, "m")
    probe.health(ask, "http://h", 1)
    probe.completion(ask, endpoint, 1)
    probe.served_models(ask, endpoint)
    probe.tokens_generated(ask, endpoint)


def read_digest(agent: Agent) -> None:
    source = SimpleNamespace(size=3, sha256=lambda _: "x")
    same_there(agent, source, "/x")  # type: ignore[arg-type]


def read_sizes(agent: Agent) -> None:
    source = Source(__import__("pathlib").Path(__file__))
    _stat_files(agent, {"a": source, "b": source}, "/x")


def processes_of(agent: Agent) -> Processes:
    view = SimpleNamespace(waiting=lambda *_: None, note=lambda _: None)
    return Processes("run-1", "me", {MARK: agent}, SimpleQueue(), view)  # type: ignore[arg-type]


STATE = {
    "state": "exited", "exit_code": 1, "signal": None, "started_at": "x", "ended_at": None,
    "pid": 3, "survivors": [4], "killed": 1, "escalated": False, "complete": True,
}  # fmt: skip
ROW = STATE | {"run": "run-1", "process": "server-0", "owner": "me", "alive": True, "folder": "/x"}
HOLDER = {"run": "run-1", "owner": "me", "process": "lease", "pid": 1, "since": "x"}
WHO = {"pid": 1, "command": "x", "user": "ann", "run": "r/p"}
FACTS = gather("/", [], []) | {
    "interfaces": [{"name": "lo", "mtu": 65536, "up": True}],
    "addresses": [{"interface": "lo", "address": "127.0.0.1", "prefix": 8}],
    "accelerators": [
        {"kind": "ascend", "index": 0, "label": "NPU 0", "name": "910", "driver": "25",
         "memory_used_mb": 50, "memory_total_mb": 60, "processes": [WHO], "health": "OK"}
    ],
    "ports_taken": {"13346": WHO},
    "runs": [{"run": "run-2", "owner": "ann"}],
    "environments": {"vllm-0.32.0": {"fingerprint": "f", "packages": {"torch": "2"}}},
    "vllm": {"path": "/x", "packages": {"vllm": "1"}},
    "weights": {
        "/m": {"exists": True, "files": 1, "bytes": 2, "has_config": True, "missing": ["x"],
               "fingerprint": "f", "folder": "/m"}
    },
}  # fmt: skip
OPENED = {"ports": [1, 2], "ephemeral": 1, "taken": {}, "greeting": "g"}
READERS: dict[str, tuple[object, Callable[[Agent], object]]] = {
    "facts": (FACTS, read_facts),
    "runs": ({"holder": HOLDER, "processes": [ROW]}, read_runs),
    "start": (STATE, read_start),
    "http": ({"status": 200, "body": "{}", "error": ""}, read_http),
    "digest": ({"size": 3, "sha256": "x"}, read_digest),
    "stat_files": ({"free": 1 << 40, "files": [[1, None], [None, 2]]}, read_sizes),
    "program": ({"path": "", "machine": "x", "system": "Linux"}, lambda a: uv.provide(a, "/w")),
    "packages": (
        {"vllm": ["torch==2"]},
        lambda agent: deep(installed_on(dict.fromkeys(HOSTS, agent), RESOLVED.plan)),
    ),
    "forget": (None, lambda agent: clean(processes_of(agent), ())),
    "open_ports": (OPENED, lambda agent: reach_all(dict.fromkeys(HOSTS, agent), RESOLVED.plan)),
}
RESOLVED = find_case(Request("local-2-hosts", local=True, workspace="/w"))


@pytest.fixture
def liar() -> Iterator[tuple[MemoryHost, Agent]]:
    host = MemoryHost()
    agent = Agent(host, "/w")  # type: ignore[arg-type]
    yield host, agent
    agent.close()


def mutants(value: Any) -> Iterator[Any]:
    """Yield the value with each of its parts replaced by each nonsense, or left out."""
    yield from NONSENSE
    keys: Any = value if isinstance(value, dict) else ()
    if isinstance(value, list) and value:
        keys = [0]
    for key in keys:
        for part in mutants(value[key]):
            changed = copy.copy(value)
            changed[key] = part
            yield changed
        changed = copy.copy(value)
        del changed[key]
        yield changed
    if isinstance(value, list) and value:
        yield value * 2


def answering(do: str, value: object) -> Callable[[dict[str, Any]], bytes]:
    """Answer one request with this value, and the others honestly."""

    def answer(request: dict[str, Any]) -> bytes:
        honest = READERS.get(request["do"], (None,))[0]
        if request["do"] == "stop":
            honest = STATE
        return frame(request, value if request["do"] == do else honest)

    return answer


@pytest.mark.parametrize("do", READERS)
def test_nonsense_in_an_answer_is_that_hosts_error(liar, do: str):
    host, agent = liar
    honest, read = READERS[do]
    assert nonsense_in(do, honest) == ""
    for value in (honest, *mutants(honest)):
        host.answer = answering(do, value)
        print(f"{do}: {value!r:.300}")
        message = ""
        try:
            read(agent)
        except LamplighterError as error:
            message = str(error)
        assert not message or (MARK in message and len(message) < 2000)
    assert agent.trouble == ""


def test_nonsense_in_a_stop_is_that_hosts_error(liar, tmp_path: Path):
    host, agent = liar
    for value in mutants(STATE):
        host.answer = answering("stop", value)
        read_stop(agent, tmp_path)


def requests_here() -> Requests:
    channel = SimpleNamespace(write=lambda _: None, close=lambda: None)
    return Requests(MARK, channel, Subscriptions())  # type: ignore[arg-type]


def test_nonsense_in_a_refusal_breaks_the_connection_at_most():
    """The reader ends the connection for what is raised, and that fails what is pending."""
    agent, requests = SimpleNamespace(host=MARK, workspace="/w"), requests_here()
    for value in mutants({"kind": "busy", "error": "x", "holder": HOLDER}):
        number, future = requests.ask("start", {})
        try:
            requests.take({"id": number, "refused": value}, b"")
        except INVALID:
            assert not future.done()
        else:
            details = future.exception(0).details  # type: ignore[union-attr]
            assert MARK in str(start_process._refused(agent, "p", details))  # type: ignore[arg-type]


EVENTS = {
    "state": {"event": "state", "folder": "/w/x", "state": STATE},
    "check": {"event": "check", "check": 1, "reply": {"status": 200, "body": "", "error": ""}},
    "log": {"event": "log", "follow": 1, "end": True},
}


@pytest.mark.parametrize("kind", EVENTS)
def test_nonsense_in_an_event_reaches_no_listener(kind: str):
    """Real subscriptions and a real process; the reader ends the connection for what is raised."""
    agent = SimpleNamespace(host=MARK, workspace="/w", state="/w", forget=lambda *_: None)
    spec = ProcessSpec("r", "p", ("x",))
    for value in mutants(EVENTS[kind]):
        subscriptions = Subscriptions()
        listener = process.RemoteProcess(agent, spec, lambda _: None)  # type: ignore[arg-type]
        for number in ("/w/x", None):
            take = listener.take_state if kind == "state" else lambda *_: None
            subscriptions.add(Subscription(kind, take, number), {"id": 1, "offset": 0})
        with suppress(*INVALID):
            (head,) = [head for head, _ in FrameReader().take(json.dumps(value).encode() + b"\n")]
            subscriptions.take_event(head, b"")
        str(listener.state)
        deep(listener.state)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
heads = st.dictionaries(
    st.sampled_from(["id", "ok", "error", "refused", "event", "folder", "check", "follow",
                     "state", "reply", "size", "end"]),
    json_values | st.integers(-1, 3) | st.sampled_from(["state", "check", "log", "start"]),
)  # fmt: skip


@given(st.lists(heads | json_values, max_size=4), st.binary(max_size=40), st.integers(1, 9))
def test_whatever_frames_come_the_reader_raises_only_what_is_expected(values, tail, step):
    channel = SimpleNamespace(write=lambda _: None, close=lambda: None)
    requests = Requests(MARK, channel, Subscriptions())  # type: ignore[arg-type]
    futures = [requests.ask(do, {})[1] for do in ("start", "runs")]
    stream = b"".join(json.dumps(value).encode() + b"\n" for value in values) + tail
    reader = FrameReader()
    with suppress(*INVALID):
        for begin in range(0, len(stream), step):
            for head, data in reader.take(stream[begin : begin + step]):
                requests.take(head, data)
    requests.end("closed", tell=True)
    assert all(future.done() for future in futures)


@pytest.mark.parametrize(
    "line",
    [b'{"id": ' + b"[" * 200 + b"]" * 200 + b"}", b'{"size": true}',
     b'{"size": 1.0}', b'{"size": NaN}', b'{"id": 1, "size": 9, "x": "' + b"y" * 5000 + b'"}',
     b'{"size": ' + b"9" * 5000 + b"}", b'{"size": 1e400}', b'{"size": null}'],
    ids=range(8),
)  # fmt: skip
def test_a_frame_that_is_none(line: bytes):
    with pytest.raises(INVALID):
        list(FrameReader().take(line + b"\n"))


@pytest.mark.parametrize("line", [b"[" * 1_000_000, b"null", b"true", b"", b"[]"])
def test_a_line_that_is_no_object_is_text_of_the_shell(line: bytes):
    assert not list(FrameReader().take(line + b"\n"))


def test_half_a_character_can_be_written_everywhere():
    (frame_,) = FrameReader().take(b'{"id": 1, "error": "\\ud800 \\ud83d\\ude00 x"}\n')
    assert frame_[0]["error"] == "? \U0001f600 x"


@pytest.mark.parametrize("of", [float, str, lambda number: [number], lambda _: None])
def test_only_a_number_answers_a_request(of):
    requests = requests_here()
    number, future = requests.ask("accepts", {})
    with pytest.raises(TypeError):
        requests.take({"id": of(number), "ok": True}, b"")
    assert not future.done()


def test_a_second_answer_and_answers_to_nobody_change_nothing(liar):
    host, agent = liar
    noise = b'{"id": 9999, "ok": 1}\n{"event": "state", "folder": "/x", "state": {"state": "x"}}\n'
    host.answer = lambda request: noise + frame(request, value=True) + frame(request, value=False)
    assert agent.call("accepts", port=1).value is True
    assert agent.call("accepts", port=1).value is True


def test_a_long_error_is_cut(liar):
    host, agent = liar
    host.answer = lambda request: frame(request, "x" * 1_000_000, "error")
    with pytest.raises(LamplighterError) as caught:
        agent.call("accepts", port=1)
    assert len(str(caught.value)) < 3000


def test_a_million_rows_are_that_hosts_error(liar):
    host, agent = liar
    host.answer = lambda request: frame(request, {"holder": None, "processes": [ROW] * 60_000})
    overview = ask_hosts({MARK: agent})
    assert "at most 20000 items" in overview.silent[MARK]
