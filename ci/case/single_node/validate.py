"""Report errors and warnings of a test case's servers, proxy and ports. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.single_node.model import PORTS
from ci.case.single_node.servers import (
    DEFAULT_PORT,
    commands,
    environment,
    expanded,
    is_port,
    port_of,
    server_words,
)
from ci.documents.address import MAX_PORT
from ci.documents.nearest import nearest
from ci.vllm.command_line import option
from ci.vllm.devices import devices_of
from ci.vllm.programs import is_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.single_node.model import TestCase
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

MAX_DEVICES = 1024


def errors(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report missing commands, and impossible ports and sizes.

    Args:
        entry: with keys of the right types.
        path: its key path.
        source: the file.
    """
    env = environment(entry)
    wrong = [name for name in PORTS if name in (entry.envs or {}) and not is_port(env[name])]
    for name in wrong:
        message = f"{env[name]!r} is not a port; write 1 to {MAX_PORT}, or {DEFAULT_PORT}"
        yield source.at_key((*path, "envs", name), message)
    if wrong:
        return
    if entry.service_mode == "epd":
        yield from _epd_errors(entry, env, path, source)
        return
    if entry.server_cmd is None:
        yield source.at_key((*path, "server_cmd"), "missing; it lists the server's arguments")
    argv = server_words(entry)
    if is_script(argv) and not option(argv, "--port") and "SERVER_PORT" not in (entry.envs or {}):
        message = (
            f"{argv[0]} runs a script, whose port is unknown here; set SERVER_PORT under 'envs' to "
            "the port on which it listens"
        )
        yield source.at_key((*path, "server_cmd"), message)
    yield from _size_errors(argv, env, (*path, "server_cmd"), source)


def _epd_errors(
    entry: TestCase, env: Mapping[str, str], path: KeyPath, source: Source
) -> Iterator[Problem]:
    for needed in ("epd_server_cmds", "epd_proxy_args"):
        if not getattr(entry, needed):
            yield source.at_key((*path, needed), "missing; service_mode: epd needs it")
    first: dict[int, KeyPath] = {}
    for key, words in commands(entry):
        if key[0] not in {"epd_server_cmds", "epd_proxy_args"} or not words:
            continue
        key_path = (*path, *key)
        yield from _size_errors(words, env, key_path, source)
        argv = expanded(words, env)
        port, given = port_of(argv), option(argv, "--port")
        if given is None:
            yield source.at_key(key_path, "has no --port; give each server and the proxy its own")
        elif port is None and "$" in given:
            near = nearest(given.strip("${}"), env)
            guess = f"; did you mean ${near}?" if near else "; add it there"
            message = f"--port {given}: the case's envs do not define this variable{guess}"
            yield source.at_key(key_path, message)
        elif port is not None and first.setdefault(port, key_path) != key_path:
            yield source.at_key(
                key_path, f"port {port} is used by another server or the proxy; change one"
            )


def _size_errors(
    words: Sequence[str], env: Mapping[str, str], path: KeyPath, source: Source
) -> Iterator[Problem]:
    argv = expanded(words, env)
    given = option(argv, "--port")
    if given is not None and "$" not in given and not is_port(given):
        yield source.at_key(path, f"--port {given} is not a port; write 1 to {MAX_PORT}")
    if (need := devices_of(argv)) > MAX_DEVICES:
        yield source.at_key(path, f"its parallel sizes need {need} devices; lower them")


def warnings(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report keys without effect, and keys that vllm-ascend's runner reads differently."""
    if entry.service_mode == "epd":
        no_effect: tuple[str, ...] = ("server_cmd", "server_cmd_extra")
    else:
        no_effect = ("epd_server_cmds", "epd_proxy_args")
        yield from _other_port(entry, (*path, "server_cmd"), source)
    for unused in no_effect:
        if getattr(entry, unused):
            message = f"has no effect with service_mode: {entry.service_mode}"
            yield source.at_key((*path, unused), message)


def _other_port(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    env = environment(entry)
    argv = expanded(server_words(entry), env)
    given = option(argv, "--port")
    port = port_of(argv) or PORTS["SERVER_PORT"]
    if is_script(argv):
        return
    if given is None or (is_port(given) and str(port) != env["SERVER_PORT"]):
        message = (
            f"the server listens on {port}, as in its command line, and requests go there; "
            "vllm-ascend's runner sends them to SERVER_PORT"
        )
        yield source.at_key(path, message)
