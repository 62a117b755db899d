"""Find the ports of a server in its argv and environment. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.vllm.command_line import MAX_PORT, api_port, nodes, number, option, parallel, port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# vLLM's own defaults: https://docs.vllm.ai/en/stable/cli/serve.html
_RPC_PORT = 29550
_MASTER_PORT = 29501
# The number of ports that HCCL uses, from HCCL_IF_BASE_PORT on:
# https://www.hiascend.com/document/detail/en/canncommercial/800/apiref/envvar/envref_07_0074.html
_HCCL_PORTS = 16
_NIXL_PORT = "VLLM_NIXL_SIDE_CHANNEL_PORT"
_LISTENED = (_NIXL_PORT, "VLLM_MOONCAKE_BOOTSTRAP_PORT")


def ports_of(
    argv: tuple[str, ...], env: Mapping[str, str], address: str, location: str
) -> tuple[int, ...]:
    """List the ports that a server listens on, each once, sorted.

    Args:
        argv: its command line.
        env: its environment.
        address: its host's own address.
        location: file and key path, for the error.

    Raises:
        UserError: an option's value is not a port.
    """
    named = named_ports(argv, env, address, location)
    return tuple(sorted({*named, *_ports_of_env(env, address)}))


def named_ports(
    argv: tuple[str, ...], env: Mapping[str, str], address: str, location: str
) -> Iterator[int]:
    """Yield the ports of a command line; two servers of a host cannot share them.

    Args and errors: as `ports_of`.
    """
    if "--headless" not in argv:
        yield api_port(argv, env, location)
        yield from _if_set(port(argv, "--grpc-port", location))
    rpc_port = port(argv, "--data-parallel-rpc-port", location)
    share = parallel(argv)
    # Only the head of the ranks binds the address that all of them connect to.
    is_head = share and "--headless" not in argv and share.start == 0
    if share and is_head and share.local < share.size and share.address == address:
        yield rpc_port or _RPC_PORT
    master_port = port(argv, "--master-port", location)
    if nodes(argv) > 1 and not number(argv, "--node-rank"):
        yield master_port or _MASTER_PORT
    if "Nixl" in (option(argv, "--kv-transfer-config") or ""):
        # vLLM adds the rank, so that the ranks of a host may have the same variable.
        first = max(_in_range(env.get(_NIXL_PORT, "")), default=0)
        yield from _in_range(str(first + (share.start if share else 0)) if first else "")


def _ports_of_env(env: Mapping[str, str], address: str) -> Iterator[int]:
    if env.get("VLLM_DP_MASTER_IP") == address:
        yield from _in_range(env.get("VLLM_DP_MASTER_PORT", ""))
    yield from _in_range(env.get("HCCL_IF_BASE_PORT", ""), _HCCL_PORTS)
    for name in _LISTENED:
        yield from _in_range(env.get(name, ""))


def _in_range(text: str, count: int = 1) -> Iterator[int]:
    first = int(text) if text.isdecimal() and len(text) <= len(str(MAX_PORT)) else 0
    yield from (value for value in range(first, first + count) if first > 0 and value <= MAX_PORT)


def _if_set(value: int | None) -> Iterator[int]:
    if value is not None:
        yield value
