"""Parse vLLM's command line: options, ports, the model's name, data parallelism. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.vllm.programs import is_script, own_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_PORT = 65535
# vLLM's own default: https://docs.vllm.ai/en/stable/cli/serve.html
SERVER_PORT = 8000
# Longer numbers are no size, rank or port; Python refuses those of more than 4,300 digits.
_WHOLE = re.compile(r"[0-9]{1,9}")
_LOOPBACKS = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}
# vLLM's own short forms: https://docs.vllm.ai/en/stable/cli/serve.html
_SHORT = {
    "-dp": "--data-parallel-size",
    "-dpl": "--data-parallel-size-local",
    "-dpr": "--data-parallel-start-rank",
    "-dpn": "--data-parallel-rank",
    "-dpa": "--data-parallel-address",
    "-dpp": "--data-parallel-rpc-port",
    "-dpb": "--data-parallel-backend",
    "-dph": "--data-parallel-hybrid-lb",
    "-dpe": "--data-parallel-external-lb",
    "-dpm": "--data-parallel-multi-port-external-lb",
    "-tp": "--tensor-parallel-size",
    "-pp": "--pipeline-parallel-size",
    "-pcp": "--prefill-context-parallel-size",
    "-dcp": "--decode-context-parallel-size",
    "-ep": "--enable-expert-parallel",
    "-n": "--nnodes",
    "-r": "--node-rank",
    "-q": "--quantization",
    "-sc": "--speculative-config",
    "-dc": "--diffusion-config",
    "-cc": "--compilation-config",
    "-ac": "--attention-config",
}
_OWN_ENDPOINTS = (
    "--data-parallel-rank",
    "--data-parallel-hybrid-lb",
    "--data-parallel-external-lb",
    "--data-parallel-multi-port-external-lb",
)


@dataclass(frozen=True)
class Parallel:
    """One server's share of a data-parallel deployment.

    Attributes:
        size: number of ranks of the deployment.
        local: number of ranks of this server.
        start: its first rank.
        address: address of the head, which all ranks connect to; None for loopback.
        rpc_port: the head's port for that; None for vLLM's default.
        own_endpoint: whether each server has an API for its own ranks only, behind a balancer.
    """

    size: int
    local: int
    start: int
    address: str | None
    rpc_port: int | None
    own_endpoint: bool


def option(argv: Sequence[str], name: str) -> str | None:
    """Return the value of `--name value` or `--name=value`; of several, the last."""
    return _options(tuple(argv)).get(name)


def has(argv: Sequence[str], name: str) -> bool:
    """Return whether an option is given, with or without a value."""
    return name in _options(tuple(argv))


def number(argv: Sequence[str], name: str) -> int | None:
    """Return the whole number of an option; None if it is missing or not a number."""
    text = option(argv, name)
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def json_option(argv: Sequence[str], name: str) -> dict[str, object]:
    """Return the JSON object of an option; empty if it is missing or not an object."""
    try:
        value = json.loads(option(argv, name) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def port(argv: Sequence[str], name: str, location: str) -> int | None:
    """Return the port of an option; None if it is missing.

    Args:
        argv: the command line.
        name: the option.
        location: file and key path, for the error.

    Raises:
        UserError: its value is not a port.
    """
    text = option(argv, name)
    if text is None:
        return None
    if not _WHOLE.fullmatch(text) or not 0 < int(text) <= MAX_PORT:
        raise UserError(f"{location}: {name} {text[:20]} is not a port; write 1 to {MAX_PORT}")
    return int(text)


def api_port(argv: Sequence[str], env: Mapping[str, str], location: str) -> int:
    """Return the port of a server's API.

    Args:
        argv: the command line.
        env: its environment; a script on the host gets its port from SERVER_PORT.
        location: file and key path, for the error.

    Raises:
        UserError: its value is not a port, or a script on the host chooses it.
    """
    own = port(argv, "--port", location)
    if own is not None or not is_script(argv):
        return own or SERVER_PORT
    named = port(("--port", env["SERVER_PORT"]), "--port", location) if "SERVER_PORT" in env else 0
    if not named:
        raise UserError(
            f"{location}: {argv[0]} runs a script, whose port is unknown here; set SERVER_PORT in "
            "the server's environment to the port on which it listens"
        )
    return named


def client_address(argv: Sequence[str], address: str) -> str:
    """Return the address that clients use for a server: loopback if it binds only that.

    Args:
        argv: the command line.
        address: the host's own address.
    """
    bound = option(argv, "--host")
    return _LOOPBACKS.get(bound or "", address)


def served_name(argv: Sequence[str], model: str) -> str:
    """Return the model name of the API: the first `--served-model-name`, else the model."""
    return option(argv, "--served-model-name") or model_of(argv) or model


def model_of(argv: Sequence[str]) -> str | None:
    """Return the model of `--model MODEL` or `vllm serve MODEL`; None if there is none."""
    if named := option(argv, "--model"):
        return named
    after = argv[argv.index("serve") + 1 :] if "serve" in argv else ()
    return after[0] if after and not after[0].startswith("-") else None


def parallel(argv: Sequence[str]) -> Parallel | None:
    """Parse a server's data parallelism; None if it has none, or Ray or several nodes share it."""
    size = number(argv, "--data-parallel-size")
    managed = option(argv, "--data-parallel-backend") == "ray" or nodes(argv) > 1
    if size is None or managed:
        return None
    local = number(argv, "--data-parallel-size-local")
    rank = number(argv, "--data-parallel-rank")
    start = number(argv, "--data-parallel-start-rank") if rank is None else rank
    # A server with a start rank above 0 that is not headless serves its own ranks: hybrid mode.
    hybrid = bool(start) and not has(argv, "--headless")
    default = 1 if rank is not None else size
    return Parallel(
        size=size,
        local=default if local is None else local,
        start=start or 0,
        address=option(argv, "--data-parallel-address"),
        rpc_port=number(argv, "--data-parallel-rpc-port"),
        own_endpoint=hybrid or any(has(argv, name) for name in _OWN_ENDPOINTS),
    )


def model_length(argv: Sequence[str]) -> int | None:
    """Return `--max-model-len`, e.g. 4096, 4k or 4K; None if it is missing, auto or no number."""
    match = re.fullmatch(r"([0-9]{1,9})([kKmM]?)", option(argv, "--max-model-len") or "")
    units = {"": 1, "k": 1000, "K": 1 << 10, "m": 1_000_000, "M": 1 << 20}
    return int(match[1]) * units[match[2]] if match else None


def nodes(argv: Sequence[str]) -> int:
    """Return the number of nodes that one rank's tensor and pipeline parallelism uses."""
    return number(argv, "--nnodes") or 1


# Cached: planning and checking read dozens of options of the same few command lines.
@lru_cache(maxsize=4096)
def _options(argv: tuple[str, ...]) -> Mapping[str, str]:
    """Return option → its value, or the word that follows it."""
    options = {}
    words = own_words(argv)  # `nice -n 5` is not vLLM's `-n 5`
    for word, following in zip(words, (*words[1:], ""), strict=False):
        if word.startswith("-"):
            flag, equals, given = word.partition("=")
            options[long_name(flag)] = given if equals else following
    return options


def long_name(flag: str) -> str:
    """Return an option's normal spelling: vLLM also accepts `-dp` and `--data_parallel_size`."""
    return _SHORT.get(flag, flag.replace("_", "-"))
