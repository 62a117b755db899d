"""A test case's servers, proxy, ports and devices on its one host. Pure.

The rules are those of the field's own runner, except where a comment says otherwise.
"""

from __future__ import annotations

import re
from itertools import accumulate, count
from typing import TYPE_CHECKING

from ci.case import kv_pool
from ci.case.model import Node, Router
from ci.case.single_node.model import PORTS
from ci.case.variables import REFERENCE, references
from ci.documents.address import MAX_PORT
from ci.documents.place import key_text
from ci.vllm.command_line import json_option, option
from ci.vllm.devices import VISIBLE, devices_of, indices, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.kv_pool import KvPool
    from ci.case.model import Role, Service
    from ci.case.single_node.model import TestCase
    from ci.documents.place import KeyPath
    from ci.documents.source import Source

OPEN = "DEFAULT_PORT"
PROXY = "examples/disaggregated_encoder/disagg_epd_proxy.py"
LOOPBACK = "127.0.0.1"

_SPAWN = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
_EPD = {
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "PYTORCH_NPU_ALLOC_CONF": "expandable_segments:True",
}


def nodes(entry: TestCase, path: KeyPath, source: Source) -> tuple[Node, ...]:
    """The servers, in the order in which they stand in the file.

    Args:
        entry: without defects.
        path: where it stands.
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
            headless="--headless" in argv,
            where=key_text(path),
            at=_at((*path, "server_cmd"), source),
        ),
    )


def _at(path: KeyPath, source: Source) -> tuple[int, int]:
    place = source.keys.get(path) or source.values[path]
    return place.line, place.column


def _epd_nodes(
    entry: TestCase, env: dict[str, str], path: KeyPath, source: Source
) -> tuple[Node, ...]:
    lines = [("vllm", "serve", *words) for words in entry.epd_server_cmds or ()]
    needs = [devices_of(expanded(argv, env)) for argv in lines]
    shown_by = VISIBLE.get(entry.device or "ascend")
    found: list[Node] = []
    for at, (argv, need, end) in enumerate(zip(lines, needs, accumulate(needs), strict=True)):
        # The runner gives server i device i alone, however many it computes on.
        own = {shown_by: ",".join(map(str, range(end - need, end)))} if shown_by else {}
        role, place = _role(argv), (*path, "epd_server_cmds", at)
        found.append(
            Node(
                name=f"{'server' if role == 'mixed' else role}-{at}",
                host=0,
                role=role,
                argv=argv,
                env=env | _EPD | _SPAWN | own,
                where=key_text(place),
                at=_at(place, source),
            )
        )
    return tuple(found)


def router(entry: TestCase, where: str) -> Router | None:
    """What stands before encode and decode servers; None where there is one server."""
    if entry.service_mode != "epd":
        return None
    env = environment(entry)
    words = expanded(entry.epd_proxy_args or (), env)
    return Router(
        kind="command",
        argv=("python", PROXY, *words),
        env=env,
        port=port_of(words) or 0,
        where=f"{where}.epd_proxy_args",
    )


def pool(written: KvPool) -> Service:
    """The store's process and files. All is on one host, so that loopback is its address."""
    made = kv_pool.service(written)

    def here(texts: Mapping[str, str]) -> dict[str, str]:
        return {
            key: re.sub(r"\$\{(NODE_0|LOCAL)_IP\}", LOOPBACK, one) for key, one in texts.items()
        }

    update = {name: here(getattr(made, name)) for name in ("files", "server_env", "server_files")}
    return made.model_copy(update=update)


def devices(servers: Sequence[Node]) -> int:
    """How many devices the host has to have."""
    total = 0
    for node in servers:
        shown = visible(node.env) or ()
        most = max(indices(shown), default=-1) + 1
        total = max(total, devices_of(expanded(node.argv, node.env)), len(shown), most)
    return total


def commands(entry: TestCase) -> Iterator[tuple[KeyPath, Sequence[str]]]:
    """Every list of words, with the end of its key path."""
    yield ("server_cmd",), entry.server_cmd or ()
    yield ("server_cmd_extra",), entry.server_cmd_extra or ()
    for at, words in enumerate(entry.epd_server_cmds or ()):
        yield ("epd_server_cmds", at), words
    yield ("epd_proxy_args",), entry.epd_proxy_args or ()


def server_words(entry: TestCase) -> list[str]:
    """The one server's command line; it may be written whole."""
    words = [*(entry.server_cmd or ()), *(entry.server_cmd_extra or ())]
    return words if words[:1] == ["vllm"] else ["vllm", "serve", entry.model, *words]


def environment(entry: TestCase) -> dict[str, str]:
    """The case's variables, with every port that it uses settled."""
    given = entry.envs or {}
    fixed = {name: one for name, one in given.items() if name in PORTS and one != OPEN}
    epd = entry.service_mode == "epd"
    used = {"ENCODE_PORT", "PD_PORT", "PROXY_PORT"} if epd else {"SERVER_PORT"}
    used |= {name for _, words in commands(entry) for word in words for name in references(word)}
    taken, ports = set(fixed.values()), dict(fixed)
    for name, usual in PORTS.items():
        if name not in fixed and (name in used or name in given):
            ports[name] = next(str(one) for one in count(usual) if str(one) not in taken)
            taken.add(ports[name])
    return {**given, **ports}


def expanded(words: Sequence[str], env: Mapping[str, str]) -> tuple[str, ...]:
    """Replace references to the case's own variables; others stay."""
    return tuple(
        REFERENCE.sub(lambda found: env.get(found[1] or found[2], found[0]), word) for word in words
    )


def port_of(words: Sequence[str]) -> int | None:
    """The port that a command line names; None where it names none that is one."""
    given = option(words, "--port")
    return int(given) if given and is_port(given) else None


def is_port(text: str) -> bool:
    """Whether a text is a port's number."""
    return bool(re.fullmatch("[0-9]{1,5}", text)) and 0 < int(text) <= MAX_PORT


def _role(argv: Sequence[str]) -> Role:
    """What a server does, as its transfer configurations say."""
    if json_option(argv, "--ec-transfer-config").get("ec_role") == "ec_producer":
        return "encode"
    by_kv: dict[str, Role] = {"kv_producer": "prefill", "kv_consumer": "decode"}
    return by_kv.get(str(json_option(argv, "--kv-transfer-config").get("kv_role")), "mixed")
