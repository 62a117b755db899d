"""Report errors and warnings of a `deployment` file whose keys and types are valid. Pure.

Checks the Case, and reports positions in the source. An error stops every night; a warning is
about a key that vllm-ascend's own runner reads differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.case.references import unknown
from ci.case.requirements import not_installed
from ci.case.variables import references
from ci.documents.address import MAX_PORT
from ci.vllm.command_line import SERVER_PORT, number, option
from ci.vllm.programs import is_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.model import Case, Node
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_SECTION = "disaggregated_prefill"
# vllm-ascend's own runner uses it for files without SERVER_PORT.
_RUNNER_PORT = "8080"
_LISTS = (("prefiller_host_index", "prefill"), ("decoder_host_index", "decode"))


def errors(case: Case, source: Source) -> Iterator[Problem]:
    """Report unknown variables and routers that cannot work."""
    for index, node in enumerate(case.nodes):
        own = {*node.env, *node.variables}
        path: KeyPath = ("deployment", index, "server_cmd")
        yield from unknown(" ".join(node.argv), path, own, case.num_hosts, source)
        for name, value in node.env.items():
            yield from unknown(value, _env_path(index, name, source), own, case.num_hosts, source)
    yield from _router_errors(case, source)


def warnings(case: Case, source: Source) -> Iterator[Problem]:
    """Warn of keys without effect, and of keys that vllm-ascend's runner reads differently."""
    document = source.value if isinstance(source.value, dict) else {}
    section = document.get(_SECTION) or {}
    if section.get("enabled") is False:
        message = (
            "false means off: all servers are equal and there is no router; vllm-ascend's runner "
            "separates them whenever this section exists"
        )
        yield source.at_value((_SECTION, "enabled"), message)
    for key in ("ranktable_gen_path", "ranktable_path"):
        if section.get(key) is not None:
            message = "has no effect, vLLM needs no rank table; remove it"
            yield source.at_key((_SECTION, key), message)
    for index, (node, entry) in enumerate(zip(case.nodes, document["deployment"], strict=True)):
        yield from _headless(node, entry, index, source)
        yield from _port(case, node, index, source)
    if case.router:
        yield from _groups(case, section, source)
    yield from not_installed(case.special_dependencies, case.vllm, (), source)


def _router_errors(case: Case, source: Source) -> Iterator[Problem]:
    document: Any = source.value
    entry, router = document.get("router"), case.router
    if router is None:
        return
    if entry:
        yield from _router_key_errors(case, entry, source)
    if router.kind == "command":
        known = {*router.env, "PORT"}
        yield from unknown(" ".join(router.argv), ("router",), known, case.num_hosts, source)
        return
    section = document.get(_SECTION) or {}
    if not section or section.get("enabled") is False:
        message = f"needs prefill and decode servers; list them under {_SECTION!r}"
        yield source.at_key(("router",), message)
        return
    for key, role in _LISTS:
        if all(node.headless for node in case.nodes if node.role == role):
            message = "names only --headless servers; the router needs one without it"
            yield source.at_key((_SECTION, key), message)


def _router_key_errors(case: Case, entry: dict[str, Any], source: Source) -> Iterator[Problem]:
    kind = entry.get("kind", "script")
    if kind == "command" and not entry.get("command"):
        yield source.at_key(("router", "command"), "missing; it is the router's command line")
    for key, needs in (("command", "command"), ("script", "script")):
        if entry.get(key) is not None and kind != needs:
            message = f"has no effect with kind: {kind}; it is for kind: {needs}"
            yield source.at_key(("router", key), message)
    if entry.get("arguments") and kind == "command":
        yield source.at_key(
            ("router", "arguments"), "has no effect with kind: command; move them into 'command'"
        )
    if case.router and case.router.host >= case.num_hosts:
        message = f"there is no host {case.router.host}; indices are 0 to {case.num_hosts - 1}"
        yield source.at_value(("router", "host"), message)


def _headless(node: Node, entry: dict[str, Any], index: int, source: Source) -> Iterator[Problem]:
    headless = entry.get("headless")
    if headless is not None and headless != node.headless:
        does = (
            "has --headless, so it has no API server" if node.headless else "starts an API server"
        )
        message = f"{str(headless).lower()}, but its command line {does}; the command line decides"
        yield source.at_value(("deployment", index, "headless"), message)


def _port(case: Case, node: Node, index: int, source: Source) -> Iterator[Problem]:
    """Warn if SERVER_PORT, or the runner's default, differs from the server's own port."""
    port = node.env.get("SERVER_PORT") or node.variables.get("SERVER_PORT")
    if port is None and case.router:
        port = _RUNNER_PORT
    own = _port_of(node)
    unknown_here = port is None or own is None or is_script(node.argv)
    if node.headless or unknown_here or port == own:
        return
    origin = "from its command line" if option(node.argv, "--port") else "vLLM's default"
    message = f"listens on {own} ({origin}), which is used instead of SERVER_PORT ({port})"
    yield source.at_key(("deployment", index, "server_cmd"), message)


def _port_of(node: Node) -> str | None:
    """Return the port of a command line; None if only a plan can determine it."""
    text = option(node.argv, "--port")
    if text is None:
        return str(SERVER_PORT)
    for name in references(text):
        return (node.variables | node.env).get(name)
    port = number(node.argv, "--port")
    return text if port and port <= MAX_PORT else None


def _groups(case: Case, section: dict[str, Any], source: Source) -> Iterator[Problem]:
    listed = {
        int(host): (_SECTION, key, position)
        for key, _ in _LISTS
        for position, host in enumerate(section.get(key) or [])
    }
    for index, node in enumerate(case.nodes):
        if node.headless and index in listed:
            message = f"{node.name} is --headless: the router sends it no requests"
            yield source.at_value(listed[index], message)
        elif index not in listed and node.role == "prefill":
            message = (
                f"is --headless and in neither list: it prefills for host {node.master}; "
                "vllm-ascend's runner assigns it to the first decoder"
            )
            yield source.at_key(("deployment", index), message)
        elif index not in listed and not node.headless and listed:
            message = "is in neither list: the router sends it no requests"
            yield source.at_key(("deployment", index), message)


def _env_path(index: int, name: str, source: Source) -> KeyPath:
    """Return the key path of a server's variable."""
    own: tuple[KeyPath, ...] = (
        ("deployment", index, "envs", name),
        ("deployment", index, "env_extend", name),
    )
    return next((path for path in own if path in source.keys), ("env_common", name))
