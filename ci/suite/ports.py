"""Find the ports of a case's servers, as far as its file tells. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ci.vllm.command_line import SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.case.model import Case, Node

_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_PORT = re.compile(r"[0-9]{1,5}")


def ports_of(case: Case) -> frozenset[int]:
    """Return the ports that a case uses: two cases with a common one cannot share a host."""
    found = {port for node in case.nodes for port in _of_node(node)}
    found |= {port for service in case.services for port in service.ports}
    return frozenset(found | ({case.router.port} if case.router else set()))


def _of_node(node: Node) -> Iterator[int]:
    values = {**node.env, **node.variables}
    texts = [value for name, value in values.items() if "PORT" in name.upper()]
    named = False
    for flag, word in zip(node.argv, (*node.argv[1:], ""), strict=True):
        name, equals, value = flag.partition("=")
        if name.startswith("--") and name.endswith("port"):
            texts.append(value if equals else word)
            named |= name == "--port"
    if not named and not node.headless:
        yield SERVER_PORT
    yield from (int(number) for text in texts if _PORT.fullmatch(number := _value(text, values)))


def _value(text: str, values: Mapping[str, str]) -> str:
    """Return the value of a variable, which may name another one; other text as it is."""
    for _ in values:
        match = _VARIABLE.fullmatch(text)
        text = values.get(match[1], "") if match else text
    return text
