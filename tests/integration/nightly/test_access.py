"""Nights with servers that ask for a key or speak TLS, and with servers that refuse."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from certificates import authority, certificate
from hosts_here import held_port
from night import LIGHT_SERVER, light_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from night import Night

KEY = "sk-of-nobody-0123"


def assert_not_shown(night: Night) -> None:
    """Run the night; its key is in no file, no output, and no command line of any process."""
    while night.process.poll() is None:
        assert KEY not in "".join(commands())
        with contextlib.suppress(subprocess.TimeoutExpired):
            night.process.wait(0.1)
    assert night.finish() == 0
    files = (path for path in night.folder.rglob("*") if path.is_file())
    assert KEY not in night.output + "".join(path.read_text("utf-8", "replace") for path in files)


def commands() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            yield path.read_text("utf-8", "replace")


@pytest.mark.parametrize(
    ("manner", "env"),
    [
        ("good", {"VLLM_API_KEY": KEY}),
        (f"good --api-key {KEY}", {}),
        (f"good --api-key {KEY} sk-of-another-4567", {}),
        (f"good --api-key=sk-of-another-4567 --api_key={KEY}", {}),
        ("good", {"MINE": KEY, "VLLM_API_KEY": "$MINE"}),
        ("good --api-key $MINE", {"MINE": KEY}),
    ],
    ids=["variable", "flag", "two", "twice", "variable of a variable", "reference"],
)
def test_a_server_with_a_key(
    begin: Callable[..., Night], free_port: int, manner: str, env: dict[str, Any]
):
    assert_not_shown(begin(manner, {"env_common": {"SERVER_PORT": free_port, **env}}))


def test_a_key_that_only_the_host_has(
    start_night: Callable[..., Night], workspace: Path, tmp_path: Path, free_port: int
):
    script = tmp_path / "set_env.sh"
    script.write_text(f"echo noise\nexport VLLM_API_KEY={KEY}\n")
    case = light_case("good", port=free_port, cluster_hosts=["localhost"])
    case = case.replace('"python3 ', f'"source {script} && python3 ')
    assert_not_shown(start_night(case, "--workspace", str(workspace)))


def routed_by(command: str, port: int) -> dict[str, Any]:
    """The keys of a case with this router."""
    return {"router": {"kind": "command", "command": command, "port": port}}


@pytest.mark.parametrize("signed", [False, True])
def test_a_server_and_a_router_with_a_certificate(
    begin: Callable[..., Night], free_port: int, tmp_path: Path, *, signed: bool
):
    trusted = ["--ssl-ca-certs", authority(tmp_path)] if signed else []
    cert, key = certificate(tmp_path, signed=signed)
    tls = " ".join(["--ssl-certfile", cert, "--ssl-keyfile", key, *trusted])
    with held_port() as front:
        command = f"python3 {LIGHT_SERVER} {front} front --port {front} {tls}"
        keys = routed_by(f"{command} --to https://127.0.0.1:{free_port}", front)
        assert (night := begin(f"good {tls}", keys)).finish() == 0
    assert f'"https://127.0.0.1:{front}' in (night.folder / "plan.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("made", "named", "words", "routed"),
    [
        ({"days": -1}, "", ("certificate has expired", "or correct the clock"), False),
        ({"days": -1}, "", ("certificate has expired", "or correct the clock"), True),
        ({"name": "IP:192.0.2.1"}, "", ("not valid for '127.0.0.1'", "in subjectAltName"), False),
        ({"signed": True}, "", ("unable to get local issuer", "by --ssl-ca-certs"), False),
        ({}, "--ssl-ca-certs {}/ca.pem", ("self-signed certificate", "by --ssl-ca-certs"), False),
        (
            {},
            "--ssl-ca-certs {}/none",
            ("/none cannot be read: No such file", "absolute path"),
            False,
        ),
        (
            {},
            "--ssl-ca-certs {}/key.pem",
            ("/key.pem cannot be read: no cert", "a PEM file"),
            False,
        ),
    ],
)
def test_a_certificate_that_is_not_trusted_is_not_waited_for(  # noqa: PLR0913, PLR0917 - a table
    begin: Callable[..., Night],
    tmp_path: Path,
    made: dict[str, Any],
    named: str,
    words: tuple[str, str],
    routed: bool,  # noqa: FBT001 - as the others
):
    authority(tmp_path)
    cert, key = certificate(tmp_path, **made)
    tls = f"--ssl-certfile {cert} --ssl-keyfile {key} {named.format(tmp_path)}"
    keys = routed_by("true", 9) if routed else {}
    night = begin(f"good {tls}", {"ready_timeout_s": 3000, **keys})
    assert night.finish() == 3
    night.assert_unknown("cannot be asked: ", *words)


def test_a_server_that_speaks_no_tls(begin: Callable[..., Night], tmp_path: Path):
    cert, key = certificate(tmp_path)
    tls = f"--no-tls --ssl-certfile {cert} --ssl-keyfile {key}"
    night = begin(f"good {tls}", {"ready_timeout_s": 3000})
    assert night.finish() == 3
    night.assert_unknown("speaks http where https is expected; see that the server's script")


@pytest.mark.parametrize(
    ("manner", "model", "words"),
    [
        (
            "401",
            "light",
            "HTTP 401: the light server says 401; the server asks for another API key",
        ),
        ("good", "dark", "the case asks for the model 'dark', but the server lists light"),
        ("422", "light", "HTTP 422: the light server says 422; the server does not accept"),
        ("307", "light", "HTTP 307: the light server says 307; a redirect is not followed"),
    ],
)
def test_a_server_that_refuses_is_not_waited_for(
    begin: Callable[..., Night], manner: str, model: str, words: str
):
    night = begin(manner, {"model": model})
    assert night.finish() == 3
    night.assert_unknown(words)
