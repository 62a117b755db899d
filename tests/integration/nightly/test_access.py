"""Nights with servers that ask for a key or speak TLS, and with servers that refuse."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from night import light_case

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


def test_a_server_with_a_certificate(begin: Callable[..., Night], tmp_path: Path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=light"]
    subprocess.run([*argv, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    night = begin(f"good --ssl-certfile {cert} --ssl-keyfile {key}")
    assert night.finish() == 0
    assert '"https://127.0.0.1' in (night.folder / "plan.json").read_text("utf-8")


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
