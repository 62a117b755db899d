"""Find cases that are word for word the same as another. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.check.diagnostic import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.model import Case
    from ci.check.key_index import KeyIndex


def copies(case: Case, key: str, index: KeyIndex, seen: dict[str, str]) -> Iterator[Diagnostic]:
    """Report a case that measures exactly what another one does, under another name.

    Args:
        case: a case of the file.
        key: its key path; empty if it is the only one.
        index: the file's.
        seen: content → place of the cases before; this one is added.
    """
    names = {"name", "test_name", "path", "warnings"}
    nodes = [node.model_dump(exclude={"key_path", "position"}) for node in case.nodes]
    rest = case.model_dump(exclude={*names, "nodes", "router"})
    router = case.router.model_dump(exclude={"key_path"}) if case.router else None
    here = f"{case.path}#{case.name}" if key else case.path
    other = seen.setdefault(repr((nodes, router, rest)), here)
    if other != here:
        message = f"is word for word the case {other}; change it, or remove one of them"
        yield Diagnostic("warning", index.problem(key, message), "copy")
