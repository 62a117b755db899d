"""What is wrong or odd in a test case's servers, proxy and ports. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci.case.single_node.model import PORTS
from ci.case.single_node.servers import (
    OPEN,
    commands,
    environment,
    expanded,
    is_port,
    port_of,
    server_words,
)
from ci.documents.address import MAX_PORT
from ci.vllm.command_line import option
from ci.vllm.devices import devices_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.single_node.model import TestCase
    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

MAX_DEVICES = 1024


def defects(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report commands that are missing, and ports and sizes that cannot be.

    Args:
        entry: of which every key is sound on its own.
        path: where it stands.
        source: the file.
    """
    env = environment(entry)
    wrong = [name for name in PORTS if name in (entry.envs or {}) and not is_port(env[name])]
    for name in wrong:
        message = f"{env[name]!r} is no port; write one from 1 to {MAX_PORT}, or {OPEN}"
        yield source.at_key((*path, "envs", name), message)
    if wrong:
        return
    if entry.service_mode == "epd":
        yield from _epd_defects(entry, env, path, source)
        return
    if entry.server_cmd is None:
        yield source.at_key((*path, "server_cmd"), "missing; it lists the server's arguments")
    yield from _unfit(server_words(entry), env, (*path, "server_cmd"), source)


def _epd_defects(
    entry: TestCase, env: Mapping[str, str], path: KeyPath, source: Source
) -> Iterator[Problem]:
    for needed in ("epd_server_cmds", "epd_proxy_args"):
        if not getattr(entry, needed):
            yield source.at_key((*path, needed), "missing; service_mode: epd needs it")
    first: dict[int, KeyPath] = {}
    for key, words in commands(entry):
        if key[0] not in {"epd_server_cmds", "epd_proxy_args"} or not words:
            continue
        place = (*path, *key)
        yield from _unfit(words, env, place, source)
        said = expanded(words, env)
        port, given = port_of(said), option(said, "--port")
        if given is None:
            yield source.at_key(place, "has no --port; each server and the proxy need their own")
        elif port is None and "$" in given:
            yield source.at_key(place, f"--port {given}: the case's envs have no such variable")
        elif port is not None and first.setdefault(port, place) != place:
            yield source.at_key(place, f"port {port} is taken by another of them; change one")


def _unfit(
    words: Sequence[str], env: Mapping[str, str], path: KeyPath, source: Source
) -> Iterator[Problem]:
    said = expanded(words, env)
    given = option(said, "--port")
    if given is not None and "$" not in given and not is_port(given):
        yield source.at_key(path, f"--port {given} is not a port (1 to {MAX_PORT})")
    if (need := devices_of(said)) > MAX_DEVICES:
        yield source.at_key(path, f"its parallel sizes need {need} devices; lower them")


def warnings(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report what has no effect, and what the field's own runner reads otherwise."""
    for name in entry.envs or {}:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            guess = re.sub(r"\W", "_", name, flags=re.ASCII)
            message = f"no shell can set such a variable; did you mean {guess!r}?"
            yield source.at_key((*path, "envs", name), message)
    if entry.service_mode == "epd":
        idle: tuple[str, ...] = ("server_cmd", "server_cmd_extra")
    else:
        idle = ("epd_server_cmds", "epd_proxy_args")
        yield from _other_port(entry, (*path, "server_cmd"), source)
    for unused in idle:
        if getattr(entry, unused):
            message = f"has no effect with service_mode: {entry.service_mode}"
            yield source.at_key((*path, unused), message)


def _other_port(entry: TestCase, path: KeyPath, source: Source) -> Iterator[Problem]:
    env = environment(entry)
    said = expanded(server_words(entry), env)
    given = option(said, "--port")
    port = port_of(said) or PORTS["SERVER_PORT"]
    if given is None or (is_port(given) and str(port) != env["SERVER_PORT"]):
        message = (
            f"the server answers at {port}, as its command line says, and is asked there; today's "
            "runner of the field asks at SERVER_PORT"
        )
        yield source.at_key(path, message)
