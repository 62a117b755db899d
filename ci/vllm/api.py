"""Find how a server's API is asked: scheme, certificate, key; name what cannot be asked. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.vllm.command_line import has, long_name, option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KEY = "--api-key"
KEY_VARIABLE = "VLLM_API_KEY"
# What is asked of a server whose options are in a place that only the host has.
_UNSUPPORTED = {
    "--uds": "the servers, router and tools ask one another over TCP; use --host and --port",
    "--config": "its port, key and certificate are in a file on the host, which no plan reads; "
    "write the options of that file into the command line",
}
_NO_CLIENT_CERTIFICATE = "0"
_ASKED = ("/health", "/metrics", "/version", "/v1/models", "/v1/completions")


def scheme(argv: Sequence[str]) -> str:
    """Return `https` for a server with a certificate, else `http`, as uvicorn decides it."""
    return "https" if has(argv, "--ssl-keyfile") or has(argv, "--ssl-certfile") else "http"


def certificate(argv: Sequence[str]) -> str:
    """Return the file on the server's host with its certificate; empty for plain http."""
    return (option(argv, "--ssl-certfile") or "") if scheme(argv) == "https" else ""


def authorities(argv: Sequence[str]) -> str:
    """Return the file with which a client verifies the server; empty for plain http."""
    return (option(argv, "--ssl-ca-certs") or certificate(argv)) if certificate(argv) else ""


def keys_of(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the values of the last `--api-key`; vLLM accepts each of them."""
    keys: list[str] = []
    for flag, word in _with_flags(argv):
        if flag == KEY:
            keys = [] if word.startswith("-") else keys
            keys.append(word.partition("=")[2] if word.startswith("-") else word)
    return tuple(filter(None, keys))


def _with_flags(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the flag that it is, or is a value of; "" for none."""
    flag = ""
    for word in argv:
        if word.startswith("-"):
            flag = long_name(word.partition("=")[0])
            yield flag, word
            flag = "" if "=" in word else flag
        else:
            yield flag, word


def key_of(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Return a key that a server accepts; empty if it asks for none."""
    return next(iter(keys_of(argv)), env.get(KEY_VARIABLE, ""))


def key_in_env(
    argv: tuple[str, ...], env: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Move a key from the command line, which every user of the host sees, to a variable.

    vLLM reads one key from it: of several, the server accepts only the first.
    """
    key = next(iter(keys_of(argv)), "")
    if not key:
        return argv, dict(env)
    words = (word for flag, word in _with_flags(argv) if flag != KEY)
    return tuple(words), {**env, KEY_VARIABLE: key}


def unsupported(argv: Sequence[str]) -> str:
    """Say which option hides how a server is asked, and what to write; empty if none does."""
    for flag, advice in _UNSUPPORTED.items():
        if has(argv, flag):
            return f"{flag}: {advice}"
    root = option(argv, "--root-path")
    if root and any(f"{path}/".startswith(f"{root}/") for path in _ASKED):
        return (
            f"--root-path {root}: the server takes {root} for a prefix before the paths of its "
            "API, and so does not find those that begin with it; use another prefix, or none"
        )
    required = option(argv, "--ssl-cert-reqs")
    if required and required != _NO_CLIENT_CERTIFICATE:
        return (
            f"--ssl-cert-reqs {required}: the server would refuse every client without a "
            "certificate, and tools have none; remove it"
        )
    return ""
