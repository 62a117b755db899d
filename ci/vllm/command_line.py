"""What vLLM's command line says: options, ports, the model's name, data parallelism. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_PORT = 65535
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
        size: ranks in all.
        local: ranks that this server computes.
        start: the first of them.
        address: of the head, where all ranks report; None for this host's loopback.
        rpc_port: the head's port for that; None for vLLM's own choice.
        own_endpoint: each server answers for its own ranks only, behind a balancer of some kind.
    """

    size: int
    local: int
    start: int
    address: str | None
    rpc_port: int | None
    own_endpoint: bool


def option(argv: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`; the last one given counts."""
    return _options(tuple(argv)).get(name)


def has(argv: Sequence[str], name: str) -> bool:
    """Whether an option is given, with a value or without."""
    return name in _options(tuple(argv))


def number(argv: Sequence[str], name: str) -> int | None:
    """The value of an option that takes a whole number; None where it is not one."""
    text = option(argv, name)
    return int(text) if text is not None and text.isdecimal() else None


def json_option(argv: Sequence[str], name: str) -> dict[str, object]:
    """The value of an option that takes a JSON object; empty where it is not one."""
    try:
        value = json.loads(option(argv, name) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def port(argv: Sequence[str], name: str, where: str) -> int | None:
    """The value of an option that takes a port.

    Args:
        argv: the command line.
        name: of the option.
        where: file and key path, for the error.

    Raises:
        UserError: its value is no port.
    """
    text = option(argv, name)
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) <= MAX_PORT:
        raise UserError(f"{where}: {name} {text} is not a port (1 to {MAX_PORT})")
    return int(text)


def answers_at(argv: Sequence[str], address: str) -> str:
    """Where a server is asked from its own host: one that binds loopback answers only there.

    Args:
        argv: the command line.
        address: the host's own.
    """
    bound = option(argv, "--host")
    return _LOOPBACKS.get(bound or "", address)


def served_name(argv: Sequence[str], model: str) -> str:
    """The name that clients ask for: vLLM takes the first `--served-model-name`."""
    return option(argv, "--served-model-name") or model_of(argv) or model


def model_of(argv: Sequence[str]) -> str | None:
    """The model of `--model MODEL` or `vllm serve MODEL`; None where neither names one."""
    if named := option(argv, "--model"):
        return named
    after = argv[argv.index("serve") + 1 :] if "serve" in argv else ()
    return after[0] if after and not after[0].startswith("-") else None


def parallel(argv: Sequence[str]) -> Parallel | None:
    """Read a server's data parallelism; None where there is none, or somebody else arranges it."""
    size = number(argv, "--data-parallel-size")
    elsewhere = option(argv, "--data-parallel-backend") == "ray" or nodes(argv) > 1
    if size is None or elsewhere:
        return None
    local = number(argv, "--data-parallel-size-local")
    rank = number(argv, "--data-parallel-rank")
    start = number(argv, "--data-parallel-start-rank") if rank is None else rank
    # A server that begins in the middle and is not headless answers for its own ranks: hybrid.
    hybrid = bool(start) and not has(argv, "--headless")
    alone = 1 if rank is not None else size
    return Parallel(
        size=size,
        local=alone if local is None else local,
        start=start or 0,
        address=option(argv, "--data-parallel-address"),
        rpc_port=number(argv, "--data-parallel-rpc-port"),
        own_endpoint=hybrid or any(has(argv, name) for name in _OWN_ENDPOINTS),
    )


def nodes(argv: Sequence[str]) -> int:
    """Over how many nodes one rank's tensor and pipeline parallelism reaches."""
    return number(argv, "--nnodes") or 1


# Planning and checking ask for dozens of options of the same few command lines.
@lru_cache(maxsize=4096)
def _options(argv: tuple[str, ...]) -> Mapping[str, str]:
    """Option → its value, or the word that follows it."""
    found = {}
    for word, following in zip(argv, (*argv[1:], ""), strict=False):
        if word.startswith("-"):
            flag, equals, given = word.partition("=")
            found[long_name(flag)] = given if equals else following
    return found


def long_name(flag: str) -> str:
    """An option's one spelling: vLLM takes `-dp` and `--data_parallel_size` too."""
    return _SHORT.get(flag, flag.replace("_", "-"))
