"""The Python door to servers on lab hosts that this machine reaches by SSH only."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Any

import openai
import pytest
from certificates import certificate
from hosts_here import look
from night import LIGHT_SERVER, light_case

from ci.agent.connected import connected
from ci.connect.fan_out import all_of, fan_out
from ci.door import Server, serve
from ci.inventory.cluster_file import load
from ci.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.lab.model import Lab

USERS = 100
PORT = 8100


@pytest.fixture(scope="module")
def lab(as_root: None, labs: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return labs(2, shown=[PROJECT, tmp_path_factory.getbasetemp()])


@pytest.fixture
def begin(lab: Lab, tmp_path: Path) -> Callable[..., Any]:
    """Serve a light case on the lab; the servers listen on their hosts' loopback address."""

    def start(manners: tuple[str, ...] = ("echo",), **keys: Any) -> Any:
        local = " --host 127.0.0.1"
        own = [f"{manner}{'' if '--host' in manner else local}" for manner in manners]
        case = json.loads(light_case(*own, port=PORT, **keys))
        path = tmp_path / "case.yaml"
        path.write_text(json.dumps(case))
        return serve(str(path), cluster=str(lab.cluster_file), device="cpu", runs=tmp_path / "runs")

    return start


def assert_free(lab: Lab) -> None:
    with connected(load(lab.cluster_file)) as agents:
        states = all_of(fan_out(agents, lambda name: look(agents[name])))
    assert [state.holder for state in states.values()] == [None, None]
    assert [row for state in states.values() for row in state.processes if row["alive"]] == []


async def streamed(client: openai.AsyncOpenAI, text: str) -> str:
    messages: Any = [{"role": "user", "content": text}]
    stream = await client.chat.completions.create(model="light", messages=messages, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def all_streamed(server: Server, texts: list[str]) -> list[str]:
    async with server.async_client() as client:
        return await asyncio.gather(*(streamed(client, text) for text in texts))


def test_users_of_a_host_behind_ssh_each_get_their_own_stream(begin: Callable[..., Any], lab: Lab):
    with begin() as server:
        assert server.plan.endpoint.url == f"http://127.0.0.1:{PORT}"
        assert server.host == "127.0.0.1"
        assert server.port != PORT
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((lab.hosts[0].address, PORT), 10)
        texts = [f"user {number} " * 5 for number in range(USERS)]
        assert asyncio.run(all_streamed(server, texts)) == texts
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 10)
    assert_free(lab)


def test_an_error_in_the_block_hands_all_hosts_back(begin: Callable[..., Any], lab: Lab):
    with pytest.raises(ZeroDivisionError), begin():
        raise ZeroDivisionError
    assert_free(lab)


def test_each_server_behind_a_router_has_a_url_of_its_own(lab: Lab, tmp_path: Path):
    """Two servers on two hosts, and a router that knows only one of them."""
    case = json.loads(light_case("echo", "echo", port=PORT))
    for entry in case["deployment"]:
        entry["server_cmd"] = entry["server_cmd"].replace("--headless", "--port $SERVER_PORT")
    front = f"python3 {LIGHT_SERVER} 8200 front --port 8200 --to http://127.0.0.1:{PORT}"
    case["router"] = {"kind": "command", "command": front, "port": 8200}
    path = tmp_path / "case.yaml"
    path.write_text(json.dumps(case))
    runs = tmp_path / "runs"
    with serve(str(path), cluster=str(lab.cluster_file), device="cpu", runs=runs) as server:
        names = [process.name for process in server.plan.processes]
        assert list(server.urls) == names
        assert len(set(server.urls.values())) == 3
        for name in ("", *names):
            answer = server.client(name).completions.create(model="light", prompt=f"to {name}")
            assert answer.choices[0].text == f"to {name}"


def test_a_certificate_is_verified_by_the_name_of_the_host(
    begin: Callable[..., Any], lab: Lab, tmp_path: Path
):
    """It names another address than the one that a client on this machine connects to."""
    address = lab.hosts[0].address
    cert, key = certificate(tmp_path, name=f"IP:{address}")
    tls = f"--host {address} --ssl-certfile {cert} --ssl-keyfile {key}"
    with begin((f"echo {tls}",)) as server:
        assert server.url_root == f"https://127.0.0.1:{server.port}"
        answer = server.client().completions.create(model="light", prompt="Hi")
        assert answer.choices[0].text == "Hi"
        assert asyncio.run(all_streamed(server, ["Hi"])) == ["Hi"]
        client = server.client(http_client=openai.DefaultHttpxClient())
        with pytest.raises(openai.APIConnectionError):
            client.models.list()
