"""How a server is asked: port, scheme, key; and what hides it."""

from __future__ import annotations

import pytest

from ci.errors import UserError
from ci.vllm.api import authorities, certificate, key_in_env, key_of, keys_of, scheme, unsupported
from ci.vllm.command_line import api_port, number, option

SERVE = ("vllm", "serve", "m")
TLS = ("--ssl-keyfile", "/k", "--ssl-certfile", "/c")


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ((), ()),
        (("--api-key", "a"), ("a",)),
        (("--api-key=a",), ("a",)),
        (("--api_key", "a", "--port", "9"), ("a",)),
        (("--api-key", "a", "b", "--port", "9"), ("a", "b")),
        (("--port", "9", "--api-key", "a", "b"), ("a", "b")),
        (("--api-key", "--port", "9"), ()),
        (("--api-key=a", "--api_key", "b", "c"), ("b", "c")),
        (("--api-key=a", "b"), ("a",)),
        (("--api-key", "a", "--api-key"), ()),
    ],
)
def test_keys(words, keys):
    argv = (*SERVE, *words)
    assert keys_of(argv) == keys
    assert key_of(argv, {"VLLM_API_KEY": "env"}) == (keys[0] if keys else "env")


@pytest.mark.parametrize(
    "words",
    [
        ("--api-key", "a", "--port", "9"),
        ("--port", "9", "--api-key=a"),
        ("--api-key", "a", "b", "--port", "9"),
        ("--api-key=c", "--port", "9", "--api_key", "a"),
    ],
)
def test_keys_leave_the_command_line(words):
    moved = ((*SERVE, "--port", "9"), {"A": "1", "VLLM_API_KEY": "a"})
    assert key_in_env((*SERVE, *words), {"A": "1"}) == moved


def test_scheme_and_certificate():
    assert [f(SERVE) for f in (scheme, certificate, authorities)] == ["http", "", ""]
    assert [f((*SERVE, *TLS)) for f in (scheme, certificate, authorities)] == ["https", "/c", "/c"]
    assert authorities((*SERVE, *TLS, "--ssl-ca-certs", "/ca")) == "/ca"
    assert scheme((*SERVE, "--ssl-ca-certs", "/ca")) == "http"


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        ((), ""),
        *((("--root-path", path), "") for path in ("/x", "/v", "/v1/", "/", "v1", "/x/v1")),
        *((("--root-path", path), f"--root-path {path}") for path in ("/v1", "/health")),
        ((*TLS, "--ssl-cert-reqs", "0"), ""),
        (("--uds", "/s"), "--uds"),
        (("--config", "/f.yaml"), "--config"),
        (("--config=/f.yaml",), "--config"),
        ((*TLS, "--ssl-cert-reqs", "2"), "--ssl-cert-reqs 2"),
    ],
)
def test_unsupported(words, refused):
    assert unsupported((*SERVE, *words)).partition(":")[0] == refused


@pytest.mark.parametrize(
    ("argv", "env", "port"),
    [
        (SERVE, {}, 8000),
        (SERVE, {"SERVER_PORT": "9"}, 8000),
        ((*SERVE, "--port", "7"), {}, 7),
        (("bash", "run.sh", "--port", "7"), {}, 7),
        (("bash", "run.sh"), {"SERVER_PORT": "9"}, 9),
        (("/x/run.sh",), {"SERVER_PORT": "9"}, 9),
        (("numactl", "-C", "0", "/x/run.sh"), {"SERVER_PORT": "9"}, 9),
    ],
)
def test_port(argv, env, port):
    assert api_port(argv, env, "c.yaml") == port


@pytest.mark.parametrize(
    "argv", [("bash", "run.sh"), ("/x/run.sh", "a"), ("sh", "-x", "run"), ("numactl", "bash", "x")]
)
def test_the_port_of_a_script_is_not_guessed(argv):
    with pytest.raises(UserError, match="set SERVER_PORT"):
        api_port(argv, {}, "c.yaml: deployment[0]")


def test_options_of_a_wrapper_are_not_those_of_vllm():
    argv = ("nice", "-n", "5", "numactl", "-q", "x", "/env/bin/vllm", "serve", "m", "-tp", "2")
    assert (option(argv, "--nnodes"), option(argv, "--quantization")) == (None, None)
    assert number(argv, "--tensor-parallel-size") == 2
