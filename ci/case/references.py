"""Report references to unknown variables, with their positions. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import HOST_VARIABLES, names, references
from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem


def unknown(
    text: str, path: KeyPath, own: Collection[str], hosts: int, source: Source
) -> Iterator[Problem]:
    """Report every reference that is neither a known variable nor one of the host's.

    Args:
        text: a command line, or a value of an environment.
        path: key path of the text.
        own: known variables besides those that all servers have.
        hosts: number of hosts of the case.
        source: the file.
    """
    known = {*names(hosts), *own, *HOST_VARIABLES}
    for name in dict.fromkeys(references(text)):
        if name not in known:
            near = nearest(name, known)
            there = f"known here: {', '.join(sorted(known))}; define others in the environment"
            message = f"unknown variable ${name}; {f'did you mean ${near}?' if near else there}"
            yield source.at_key(path, message)
