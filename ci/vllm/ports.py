"""Which ports a server listens on, as far as its argv and environment tell. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.vllm.command_line import MAX_PORT, nodes, number, parallel, port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# vLLM's own defaults: https://docs.vllm.ai/en/stable/cli/serve.html
SERVER_PORT = 8000
_RPC_PORT = 29550
_MASTER_PORT = 29501
# HCCL takes so many from HCCL_IF_BASE_PORT on:
# https://www.hiascend.com/document/detail/en/canncommercial/800/apiref/envvar/envref_07_0074.html
_HCCL_PORTS = 16
_LISTENED = ("VLLM_NIXL_SIDE_CHANNEL_PORT", "VLLM_MOONCAKE_BOOTSTRAP_PORT")


def ports_of(
    argv: tuple[str, ...], env: Mapping[str, str], address: str, where: str
) -> tuple[int, ...]:
    """List the ports that a server listens on, each once, sorted.

    Args:
        argv: its command line.
        env: its environment.
        address: its host's own.
        where: file and key path, for the error.

    Raises:
        UserError: an option's value is no port.
    """
    return tuple(sorted({*named_ports(argv, address, where), *_ports_of_env(env, address)}))


def named_ports(argv: tuple[str, ...], address: str, where: str) -> Iterator[int]:
    """The ports that a command line makes its server listen on; no two can share one.

    Raises:
        UserError: an option's value is no port.
    """
    if "--headless" not in argv:
        yield port(argv, "--port", where) or SERVER_PORT
        yield from _given(port(argv, "--grpc-port", where))
    rpc_port = port(argv, "--data-parallel-rpc-port", where)
    spread = parallel(argv)
    # The head of the ranks, and no other, binds the address that all of them report to.
    leads = spread and "--headless" not in argv and spread.start == 0
    if spread and leads and spread.local < spread.size and spread.address == address:
        yield rpc_port or _RPC_PORT
    master_port = port(argv, "--master-port", where)
    if nodes(argv) > 1 and not number(argv, "--node-rank"):
        yield master_port or _MASTER_PORT


def _ports_of_env(env: Mapping[str, str], address: str) -> Iterator[int]:
    if env.get("VLLM_DP_MASTER_IP") == address:
        yield from _in_range(env.get("VLLM_DP_MASTER_PORT", ""))
    yield from _in_range(env.get("HCCL_IF_BASE_PORT", ""), _HCCL_PORTS)
    for name in _LISTENED:
        yield from _in_range(env.get(name, ""))


def _in_range(text: str, count: int = 1) -> Iterator[int]:
    first = int(text) if text.isdecimal() else 0
    yield from (one for one in range(first, first + count) if first > 0 and one <= MAX_PORT)


def _given(one: int | None) -> Iterator[int]:
    if one is not None:
        yield one
