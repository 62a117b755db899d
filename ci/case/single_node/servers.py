"""Make a test case's servers, proxy, ports and devices on its host. Pure.

The rules are those of vllm-ascend's own runner, unless a comment describes a difference.
"""

from __future__ import annotations

import re
from itertools import accumulate, count
from typing import TYPE_CHECKING

from ci.case import kv_pool
from ci.case.model import Node, Router
from ci.case.shell import Started
from ci.case.single_node.model import PORTS
from ci.case.variables import REFERENCE, references
from ci.documents.address import MAX_PORT
from ci.documents.position import key_text
from ci.vllm.command_line import json_option, option
from ci.vllm.devices import VISIBLE, devices_of, indices, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.kv_pool import KvPool
    from ci.case.model import Role, Service
    from ci.case.single_node.model import TestCase
    from ci.documents.position import KeyPath
    from ci.documents.source import Source

DEFAULT_PORT = "DEFAULT_PORT"
PROXY = "examples/disaggregated_encoder/disagg_epd_proxy.py"
LOOPBACK = "127.0.0.1"

_SPAWN = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
_EPD = {
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "PYTORCH_NPU_ALLOC_CONF": "expandable_segments:True",
}


def nodes(entry: TestCase, path: KeyPath, source: Source) -> tuple[Node, ...]:
    """Return the servers, in the order of the file.

    Args:
        entry: without errors.
        path: its key path.
        source: the file.
    """
    env = environment(entry)
    if entry.service_mode == "epd":
        return _epd_nodes(entry, env, path, source)
    argv = tuple(server_words(entry))
    return (
        Node(
            name="server-0",
            host=0,
            argv=argv,
            env=_SPAWN | env,
            env_script=_started(entry).env_script,
            headless="--headless" in argv,
            key_path=key_text(path),
            position=_position((*path, "server_cmd"), source),
        ),
    )


def _position(path: KeyPath, source: Source) -> tuple[int, int]:
    position = source.keys.get(path) or source.values[path]
    return position.line, position.column


def _epd_nodes(
    entry: TestCase, env: dict[str, str], path: KeyPath, source: Source
) -> tuple[Node, ...]:
    lines = [("vllm", "serve", *words) for words in entry.epd_server_cmds or ()]
    needs = [devices_of(expanded(argv, env)) for argv in lines]
    variable = VISIBLE.get(entry.device or "ascend")
    servers: list[Node] = []
    for index, (argv, need, end) in enumerate(zip(lines, needs, accumulate(needs), strict=True)):
        # The runner gives server i only device i, whatever number of devices it needs.
        own = {variable: ",".join(map(str, range(end - need, end)))} if variable else {}
        role, key_path = _role(argv), (*path, "epd_server_cmds", index)
        servers.append(
            Node(
                name=f"{'server' if role == 'mixed' else role}-{index}",
                host=0,
                role=role,
                argv=argv,
                env=env | _EPD | _SPAWN | own,
                key_path=key_text(key_path),
                position=_position(key_path, source),
            )
        )
    return tuple(servers)


def router(entry: TestCase, key_path: str) -> Router | None:
    """Return the proxy in front of encode and decode servers; None if there is one server."""
    if entry.service_mode != "epd":
        return None
    env = environment(entry)
    words = expanded(entry.epd_proxy_args or (), env)
    return Router(
        kind="command",
        argv=("python", PROXY, *words),
        env=env,
        port=port_of(words) or 0,
        key_path=f"{key_path}.epd_proxy_args",
    )


def pool(settings: KvPool) -> Service:
    """Return the store's process and files, with loopback addresses: all is on one host."""
    service = kv_pool.service(settings)

    def with_loopback(texts: Mapping[str, str]) -> dict[str, str]:
        return {
            key: re.sub(r"\$\{(NODE_0|LOCAL)_IP\}", LOOPBACK, text) for key, text in texts.items()
        }

    names = ("files", "server_env", "server_files")
    update = {name: with_loopback(getattr(service, name)) for name in names}
    return service.model_copy(update=update)


def devices(servers: Sequence[Node]) -> int:
    """Return the number of devices that the host needs."""
    total = 0
    for node in servers:
        devices = visible(node.env) or ()
        highest = max(indices(devices), default=-1) + 1
        needed = devices_of(expanded(node.argv, node.env))
        total = max(total, needed, len(devices), highest)
    return total


def commands(entry: TestCase) -> Iterator[tuple[KeyPath, Sequence[str]]]:
    """Return every list of arguments, with the end of its key path."""
    yield ("server_cmd",), entry.server_cmd or ()
    yield ("server_cmd_extra",), entry.server_cmd_extra or ()
    for index, words in enumerate(entry.epd_server_cmds or ()):
        yield ("epd_server_cmds", index), words
    yield ("epd_proxy_args",), entry.epd_proxy_args or ()


def server_words(entry: TestCase) -> list[str]:
    """Return the server's command line; `server_cmd` may contain all of it, or only arguments."""
    own = _started(entry).argv
    words = [*own, *(entry.server_cmd_extra or ())]
    return words if is_whole(own) else ["vllm", "serve", entry.model, *words]


def is_whole(words: Sequence[str]) -> bool:
    """Return whether `server_cmd` is a whole command line, not only its arguments."""
    return bool(words) and words[0][:1] not in {"", "-", "$"}


def _started(entry: TestCase) -> Started:
    """Return the server's own words, and the environment scripts before them."""
    words = list(entry.server_cmd or ())
    scripts = []
    while words[:1] == ["source"] and words[2:3] == ["&&"]:
        scripts.append(words[1])
        words = words[3:]
    return Started(tuple(words), tuple(scripts))


def environment(entry: TestCase) -> dict[str, str]:
    """Return the case's variables, with a number for every port that it uses."""
    given = entry.envs or {}
    fixed = {
        name: value for name, value in given.items() if name in PORTS and value != DEFAULT_PORT
    }
    epd = entry.service_mode == "epd"
    used = {"ENCODE_PORT", "PD_PORT", "PROXY_PORT"} if epd else {"SERVER_PORT"}
    used |= {name for _, words in commands(entry) for word in words for name in references(word)}
    taken, ports = set(fixed.values()), dict(fixed)
    for name, usual in PORTS.items():
        if name not in fixed and (name in used or name in given):
            ports[name] = next(str(port) for port in count(usual) if str(port) not in taken)
            taken.add(ports[name])
    return {**given, **ports}


def expanded(words: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Replace references to the case's own variables; other references stay."""
    return tuple(
        REFERENCE.sub(lambda match: env.get(match[1] or match[2], match[0]), word) for word in words
    )


def port_of(words: Sequence[str]) -> int | None:
    """Return the value of `--port`; None if it is missing or not a port."""
    given = option(words, "--port")
    return int(given) if given and is_port(given) else None


def is_port(text: str) -> bool:
    """Return whether a text is the number of a port."""
    return bool(re.fullmatch("[0-9]{1,5}", text)) and 0 < int(text) <= MAX_PORT


def _role(argv: Sequence[str]) -> Role:
    """Return a server's role, from its transfer configurations."""
    if json_option(argv, "--ec-transfer-config").get("ec_role") == "ec_producer":
        return "encode"
    by_kv: dict[str, Role] = {"kv_producer": "prefill", "kv_consumer": "decode"}
    return by_kv.get(str(json_option(argv, "--kv-transfer-config").get("kv_role")), "mixed")
