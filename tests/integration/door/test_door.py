"""The Python door on this machine, with a light real server in vLLM's place."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import openai
import pytest
from certificates import certificate
from hosts_here import assert_given_back, held_port, look_here, until
from night import light_case, runs_in

from ci.door import Server, serve
from ci.errors import CaseError, ProcessDied, UserError
from ci.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "sk-of-nobody-0123"
MESSAGES: Any = [{"role": "user", "content": "Hello!"}]
PATIENCE_S = 120
SCRIPT = """\
import sys, threading
from pathlib import Path
from ci.door import serve

case, workspace, runs, then = sys.argv[1:]
with serve(case, workspace=workspace, runs=runs) as server:
    print("serving", flush=True)
    if then == "wait":
        threading.Event().wait()
    assert then == "fine", "it is not fine"
"""


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A workspace of the test's own; afterwards nothing of any run is left."""
    yield tmp_path / "workspace"
    assert_given_back(tmp_path / "workspace")


@pytest.fixture
def case(tmp_path: Path, port: int) -> Callable[..., Path]:
    """Write a case of a light server."""

    def write(manner: str = "echo", **keys: Any) -> Path:
        path = tmp_path / "light.yaml"
        path.write_text(light_case(manner, port=port, **{"cluster_hosts": ["localhost"], **keys}))
        return path

    return write


@pytest.fixture
def served(case: Callable[..., Path], workspace: Path, tmp_path: Path) -> Callable[..., Any]:
    """Serve a light case."""

    @contextmanager
    def start(manner: str = "echo", **keys: Any) -> Iterator[Server]:
        path = str(case(manner, **keys))
        with serve(path, workspace=str(workspace), runs=tmp_path / "runs") as server:
            yield server

    return start


def record_in(runs: Path) -> dict[str, Any]:
    (folder,) = runs_in(runs)
    return json.loads((folder / "run.json").read_text("utf-8"))


async def asked(server: Server) -> str | None:
    async with server.async_client() as client:
        answer = await client.chat.completions.create(model=server.model, messages=MESSAGES)
        return answer.choices[0].message.content


def test_clients_urls_and_a_record_like_a_nights(
    served: Callable[..., Any], workspace: Path, tmp_path: Path, port: int
):
    with served() as server:
        assert (server.host, server.port, server.model) == ("127.0.0.1", port, "light")
        assert server.urls == {"server-0": server.url_root}
        assert server.url_for("v1", "models") == f"http://127.0.0.1:{port}/v1/models"
        assert [model.id for model in server.client().models.list()] == ["light"]
        answer = server.get_client("server-0").completions.create(model="light", prompt="Hi")
        assert answer.choices[0].text == "Hi"
        assert asyncio.run(asked(server)) == "Hello!"
        with pytest.raises(UserError, match=r"no server 'router' .*; there are: server-0"):
            server.client("router")
        holder = look_here(workspace).holder
        assert holder
        assert holder["run"] == server.run_folder.name
    record = record_in(tmp_path / "runs")
    assert (record["outcome"], record["exit_code"], record["cause"]) == ("pass", 0, None)
    assert "light server is up" in (server.run_folder / "logs/localhost/server-0.log").read_text()
    assert (server.run_folder / "report.md").is_file()


def test_an_error_in_the_block_is_raised_as_it_is_and_noted(
    served: Callable[..., Any], workspace: Path, tmp_path: Path
):
    mine = AssertionError("the answer is wrong")
    with pytest.raises(AssertionError) as raised, served():
        raise mine
    assert raised.value is mine
    assert_given_back(workspace)
    record = record_in(tmp_path / "runs")
    assert (record["outcome"], record["cause"]["kind"]) == ("unknown", "AssertionError")
    assert "the answer is wrong" in record["cause"]["message"]


@pytest.mark.parametrize("manner", ["crash", "wordy"])
def test_a_failure_to_serve_has_the_message_of_a_night(  # noqa: PLR0913, PLR0917 - fixtures
    served: Callable[..., Any],
    case: Callable[..., Path],
    start_night: Callable[..., Any],
    workspace: Path,
    tmp_path: Path,
    manner: str,
):
    with pytest.raises(ProcessDied) as raised, served(manner):
        pytest.fail("it cannot serve")
    night = start_night(case(manner), "--workspace", str(workspace))
    night.finish()
    assert str(raised.value) == night.cause
    assert record_in(tmp_path / "runs")["cause"]["message"] == night.cause


def test_a_bad_case_is_refused_before_anything_is_made(tmp_path: Path, case: Callable[..., Path]):
    with (
        pytest.raises(CaseError, match=r"light.yaml:1:\d+: modell: "),
        serve(str(case(modell="x")), runs=tmp_path / "runs"),
    ):
        pytest.fail("it cannot serve")
    assert not (tmp_path / "runs").exists()


def test_values_are_replaced_as_by_inv_up(case: Callable[..., Path], workspace: Path):
    with serve(
        str(case()), set="test_name=another", workspace=str(workspace), runs=workspace.parent
    ) as server:
        assert server.plan.case.test_name == "another"
    command = json.loads((server.run_folder / "run.json").read_text())["command"]
    assert command.startswith("inv up --config ")
    assert command.endswith(" --set test_name=another")


def end_server(server: Server, workspace: Path) -> None:
    """Kill the server, and wait until it answers no more."""
    (row,) = [row for row in look_here(workspace).processes if row["process"] == "server-0"]
    os.kill(int(str(row["pid"])), signal.SIGKILL)
    until(lambda: is_gone(server), PATIENCE_S)


def is_gone(server: Server) -> bool:
    try:
        server.client().models.list()
    except openai.APIConnectionError:
        return True
    return False


def use_after_its_end(server: Server, workspace: Path) -> None:
    end_server(server, workspace)
    server.client().models.list()


def test_a_server_that_ends_in_the_block_is_raised_at_its_end(
    served: Callable[..., Any], workspace: Path
):
    with pytest.raises(ProcessDied, match=r"server-0 on localhost: .*SIGKILL"), served() as server:
        end_server(server, workspace)


def test_an_error_of_the_block_says_that_a_server_ended_before_it(
    served: Callable[..., Any], workspace: Path
):
    with pytest.raises(openai.APIConnectionError) as raised, served() as server:
        use_after_its_end(server, workspace)
    (note,) = raised.value.__notes__
    assert note.startswith("before it a server ended: server-0 on localhost: ")


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_with_a_key_and_a_certificate(
    served: Callable[..., Any], tmp_path: Path, *, tls: bool
):
    cert, key = certificate(tmp_path)
    flags = f" --ssl-certfile {cert} --ssl-keyfile {key}" if tls else ""
    with served(f"echo --api-key {KEY}{flags}") as server:
        assert server.url_root.startswith("https:" if tls else "http:")
        answer = server.client().completions.create(model="light", prompt="Hi")
        assert answer.choices[0].text == "Hi"
        assert asyncio.run(asked(server)) == "Hello!"
        assert server.headers == {"Authorization": f"Bearer {KEY}"}
        assert KEY not in repr(server)
        with pytest.raises(openai.AuthenticationError):
            server.client(api_key="another").completions.create(model="light", prompt="Hi")
    files = [path for path in server.run_folder.rglob("*") if path.is_file()]
    assert KEY not in "".join(path.read_text("utf-8", "replace") for path in files)


def test_a_proxy_of_this_machine_is_not_used(
    served: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with served() as server:
        assert len(list(server.client().models.list())) == 1


class Program:
    """A program of somebody that uses the door."""

    def __init__(self, tmp_path: Path, case: Path, workspace: Path, then: str) -> None:
        script = tmp_path / "mine.py"
        script.write_text(SCRIPT)
        self.runs, self._output = tmp_path / "runs", tmp_path / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, script, case, workspace, self.runs, then],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def await_printed(self, words: str) -> None:
        until(lambda: words in self.output or self.process.poll() is not None, PATIENCE_S)
        assert self.process.poll() is None, self.output


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGINT)]
)
@pytest.mark.parametrize("manner", ["good", "deaf"])
def test_a_signal_hands_back_and_ends_the_program(  # noqa: PLR0913, PLR0917 - fixtures
    case: Callable[..., Path],
    workspace: Path,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
    manner: str,
):
    program = Program(tmp_path, case(manner), workspace, "wait")
    program.await_printed("serving" if manner == "good" else "start  start the servers")
    program.process.send_signal(number)
    assert program.process.wait(PATIENCE_S) == code
    assert "KeyboardInterrupt" in program.output
    assert "Lamplighter itself failed" not in program.output
    record = record_in(program.runs)
    assert (record["outcome"], record["exit_code"]) == ("unknown", 130)
    assert f"interrupted by {number.name}" in record["cause"]["message"] or manner == "good"


def test_an_error_of_a_program_is_not_called_lamplighters(
    case: Callable[..., Path], workspace: Path, tmp_path: Path
):
    program = Program(tmp_path, case("good"), workspace, "assert")
    assert program.process.wait(PATIENCE_S) == 1
    assert program.output.rstrip().endswith("AssertionError: it is not fine")
    assert "Lamplighter itself failed" not in program.output
