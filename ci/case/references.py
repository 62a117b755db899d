"""Variables that a case refers to and nobody knows, each at its place. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.variables import HOST_VARIABLES, names, references
from ci.documents.wording import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem


def unknown(
    text: str, path: KeyPath, own: Collection[str], hosts: int, source: Source
) -> Iterator[Problem]:
    """Report every reference of a text that is neither known nor left to the host.

    Args:
        text: a command line, or a value of an environment.
        path: of its key.
        own: variables that are known there besides those that all servers have.
        hosts: how many the case has.
        source: where it stands.
    """
    known = {*names(hosts), *own, *HOST_VARIABLES}
    for name in dict.fromkeys(references(text)):
        if name not in known:
            near = nearest(name, known)
            guess = f"did you mean ${near}? " if near else ""
            message = (
                f"unknown variable ${name}; {guess}Known here: {', '.join(sorted(known))}; "
                "put others into the environment"
            )
            yield source.at_key(path, message)
