"""Our proxy for prefill and decode apart, in front of servers that replay vLLM's replies."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import requests
from hosts_here import held_port, until
from integration.functional.replaying_server import CAPTURED, replaying

from ci.paths import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Iterator

PROXY = CONFIGS / "proxies" / "prefill_decode_proxy.py"
CHAT = "/v1/chat/completions"
PARAMS = {"remote_host": "h1", "remote_block_ids": [1, 2]}


@pytest.fixture
def free_port() -> Iterator[int]:
    """Return a port that no other test uses meanwhile."""
    with held_port() as port:
        yield port


def prefills(handler, body):
    """Answer as a prefill server: with the parameters of the cache."""
    if not body:
        return False
    reply = json.loads((CAPTURED / "chat.json").read_text("utf-8"))
    handler.reply(200, json.dumps({**reply, "kv_transfer_params": PARAMS}).encode())
    return True


@contextmanager
def proxied(port: int, prefill: list[str], decode: list[str]) -> Iterator[str]:
    """Run the proxy; yield its URL."""
    command = [sys.executable, str(PROXY), "--port", str(port)]
    for role, urls in (("prefiller", prefill), ("decoder", decode)):
        command += [f"--{role}-hosts", *["127.0.0.1"] * len(urls)]
        command += [f"--{role}-ports", *[url.rpartition(":")[2] for url in urls]]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None
        try:
            return bool(requests.get(f"{url}/health", timeout=10).status_code)
        except requests.ConnectionError:
            return False

    try:
        until(answers)
        yield url
    finally:
        process.kill()
        process.wait()


def generations(server):
    return [body for _, path, body in server.requests if path == CHAT]


def test_a_prompt_is_prefilled_and_its_cache_is_handed_over(free_port):
    request = {"model": "smollm2", "messages": [], "max_tokens": 9, "min_tokens": 5}
    with (
        replaying(prefills) as first,
        replaying() as second,
        proxied(free_port, [first.url], [second.url]) as url,
    ):
        reply = requests.post(url + CHAT, json=request, timeout=20)
        assert reply.content == (CAPTURED / "chat.json").read_bytes()
        streamed = requests.post(url + CHAT, json={**request, "stream": True}, timeout=20)
        assert streamed.content == (CAPTURED / "chat.stream.txt").read_bytes()
        assert streamed.headers["content-type"].startswith("text/event-stream")
    for body in generations(first):
        assert (body["max_tokens"], body["stream"], "min_tokens" in body) == (1, False, False)
        assert body["kv_transfer_params"]["do_remote_decode"] is True
    bodies = generations(second)
    assert [body.pop("kv_transfer_params") for body in bodies] == [PARAMS, PARAMS]
    assert bodies == [request, {**request, "stream": True}]


def test_servers_take_turns(free_port):
    with (
        replaying(prefills) as one,
        replaying(prefills) as two,
        replaying() as three,
        proxied(free_port, [one.url, two.url], [three.url]) as url,
    ):
        for _ in range(4):
            requests.post(url + CHAT, json={"messages": []}, timeout=20).raise_for_status()
    assert [len(generations(server)) for server in (one, two, three)] == [2, 2, 4]


def test_an_error_of_the_prefill_server_is_passed_on_and_nothing_is_decoded(free_port):
    with (
        replaying() as first,
        replaying() as second,
        proxied(free_port, [first.url], [second.url]) as url,
    ):
        reply = requests.post(url + CHAT, json={"messages": [], "temperature": -1}, timeout=20)
    assert reply.status_code == 400
    assert reply.json()["error"]["type"] == "BadRequestError"
    assert generations(second) == []


def test_what_is_no_generation_goes_to_a_decode_server(free_port):
    with (
        replaying() as first,
        replaying() as second,
        proxied(free_port, [first.url], [second.url]) as url,
    ):
        models = requests.get(f"{url}/v1/models", timeout=20).json()
        assert models["data"][0]["id"] == "smollm2"
        assert requests.post(f"{url}/tokenize", json={"prompt": "x"}, timeout=20).json()["count"]
        assert requests.get(f"{url}/nowhere", timeout=20).status_code == 404
    assert {path for _, path, _ in first.requests} == {"/health"}


@pytest.mark.parametrize("dead", ["prefill", "decode"])
def test_health_does_not_hide_a_dead_server(free_port, dead):
    with replaying(prefills) as first, replaying() as second, replaying() as gone:
        pass
    with replaying(prefills) as first, replaying() as second:
        prefill, decode = (gone, second) if dead == "prefill" else (first, gone)
        with proxied(free_port, [prefill.url], [decode.url]) as url:
            health = requests.get(f"{url}/healthcheck", timeout=20)
            assert (health.status_code, health.json()["status"]) == (503, "ill")
            assert health.json()["ill"] == [gone.url.removeprefix("http://")]
            reply = requests.post(url + CHAT, json={"messages": []}, timeout=20)
            assert reply.status_code == 502
            assert f"the {dead} server does not answer" in reply.json()["error"]["message"]
        with proxied(free_port, [first.url], [second.url]) as url:
            assert requests.get(f"{url}/health", timeout=20).status_code == 200


def test_lists_that_do_not_fit_are_refused():
    command = [sys.executable, str(PROXY), "--prefiller-hosts", "a", "b", "c"]
    command += ["--prefiller-ports", "1", "2", "--decoder-ports", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--prefiller-hosts has 3 and --prefiller-ports 2 entries" in done.stderr
