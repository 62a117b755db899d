"""What a `deployment` file says that cannot be, and what it means otherwise than it says. Pure.

Works on the Case, and looks up in the source where things stand. Warnings are of what the field's
own loader reads otherwise than it is meant; defects of what no night could run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.case.references import unknown
from ci.case.variables import references
from ci.vllm.command_line import number, option
from ci.vllm.ports import SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.model import Case, Node
    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_APART = "disaggregated_prefill"
# Of the field's own runner, where a file says nothing.
_RUNNERS_PORT = "8080"
_LISTS = (("prefiller_host_index", "prefill"), ("decoder_host_index", "decode"))


def defects_of(case: Case, source: Source) -> Iterator[Problem]:
    """Report what is wrong with a file whose keys and types are right."""
    for at, node in enumerate(case.nodes):
        own = {*node.env, *node.known}
        path: KeyPath = ("deployment", at, "server_cmd")
        yield from unknown(" ".join(node.argv), path, own, case.num_hosts, source)
        for name, value in node.env.items():
            yield from unknown(value, _env_path(at, name, source), own, case.num_hosts, source)
    yield from _router_defects(case, source)


def oddities(case: Case, source: Source) -> Iterator[Problem]:
    """Warn of what is read otherwise than the field's own runner does, and of what is left out."""
    document = source.value if isinstance(source.value, dict) else {}
    apart = document.get(_APART) or {}
    if apart.get("enabled") is False:
        message = (
            "false means off here: all servers are equal and there is no router; today's runner "
            "of the field separates them whenever this section is there"
        )
        yield source.at_value((_APART, "enabled"), message)
    for key in ("ranktable_gen_path", "ranktable_path"):
        if apart.get(key) is not None:
            message = "no rank table is made any more, vLLM needs none; remove it"
            yield source.at_key((_APART, key), message)
    for at, (node, entry) in enumerate(zip(case.nodes, document["deployment"], strict=True)):
        yield from _headless(node, entry, at, source)
        yield from _port(case, node, at, source)
    if case.router:
        yield from _groups(case, apart, source)
    if case.special_dependencies and case.vllm is None:
        message = (
            "left to the hosts, whose own vLLM is used; with 'vllm' an environment is made that "
            "has them"
        )
        yield source.at_key(("special_dependencies",), message)


def _router_defects(case: Case, source: Source) -> Iterator[Problem]:
    document: Any = source.value
    wish, front = document.get("router"), case.router
    if front is None:
        return
    if wish:
        yield from _wish(case, wish, source)
    if front.kind == "command":
        known = {*front.env, "PORT"}
        yield from unknown(" ".join(front.argv), ("router",), known, case.num_hosts, source)
        return
    apart = document.get(_APART) or {}
    if not apart or apart.get("enabled") is False:
        message = f"needs to know who prefills and who decodes; say so under {_APART!r}"
        yield source.at_key(("router",), message)
        return
    for key, role in _LISTS:
        if all(node.headless for node in case.nodes if node.role == role):
            message = "names only servers that are --headless; one has to answer the router"
            yield source.at_key((_APART, key), message)


def _wish(case: Case, wish: dict[str, Any], source: Source) -> Iterator[Problem]:
    kind = wish.get("kind", "script")
    if kind == "command" and not wish.get("command"):
        yield source.at_key(("router", "command"), "missing; it is the router's command line")
    for key, needs in (("command", "command"), ("script", "script")):
        if wish.get(key) is not None and kind != needs:
            message = f"has no effect with kind: {kind}; it is for kind: {needs}"
            yield source.at_key(("router", key), message)
    if wish.get("arguments") and kind == "command":
        yield source.at_key(("router", "arguments"), "put them into 'command'")
    if case.router and case.router.host >= case.num_hosts:
        message = f"there is no host {case.router.host}; they count from 0 to {case.num_hosts - 1}"
        yield source.at_value(("router", "host"), message)


def _headless(node: Node, entry: dict[str, Any], at: int, source: Source) -> Iterator[Problem]:
    said = entry.get("headless")
    if said is not None and said != node.headless:
        does = "has --headless and answers none" if node.headless else "starts an API server"
        message = f"{str(said).lower()}, but its command line {does}; that is what counts"
        yield source.at_value(("deployment", at, "headless"), message)


def _port(case: Case, node: Node, at: int, source: Source) -> Iterator[Problem]:
    """Warn where a server would be asked at another port than its own."""
    said = node.env.get("SERVER_PORT") or node.known.get("SERVER_PORT")
    if said is None and case.router:
        said = _RUNNERS_PORT
    own = _port_of(node)
    if node.headless or said is None or own is None or said == own:
        return
    named = "as its command line says" if option(node.argv, "--port") else "as vLLM does unasked"
    message = f"listens on {own}, {named}, and is asked there, not on {said} (SERVER_PORT)"
    yield source.at_key(("deployment", at, "server_cmd"), message)


def _port_of(node: Node) -> str | None:
    """The port of a command line; None where only a plan can tell."""
    text = option(node.argv, "--port")
    if text is None:
        return str(SERVER_PORT)
    for name in references(text):
        return (node.known | node.env).get(name)
    return text if number(node.argv, "--port") else None


def _groups(case: Case, apart: dict[str, Any], source: Source) -> Iterator[Problem]:
    listed = {
        int(index): (_APART, key, position)
        for key, _ in _LISTS
        for position, index in enumerate(apart.get(key) or [])
    }
    for at, node in enumerate(case.nodes):
        if node.headless and at in listed:
            message = f"{node.name} is --headless: it answers no requests, the router sends it none"
            yield source.at_value(listed[at], message)
        elif at not in listed and node.role == "prefill":
            message = (
                f"is --headless and in neither list: it prefills for host {node.master}; today's "
                "runner of the field sends it to the first decoder's"
            )
            yield source.at_key(("deployment", at), message)
        elif at not in listed and not node.headless and listed:
            message = "answers requests, but neither prefills nor decodes: the router sends it none"
            yield source.at_key(("deployment", at), message)


def _env_path(at: int, name: str, source: Source) -> KeyPath:
    """Where a variable of a server is written."""
    own: tuple[KeyPath, ...] = (
        ("deployment", at, "envs", name),
        ("deployment", at, "env_extend", name),
    )
    return next((path for path in own if path in source.keys), ("env_common", name))
