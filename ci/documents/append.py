"""Append an entry to a list of a YAML file's text, and change nothing else. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# No line is folded: a diff shows an entry as it is.
_WIDTH = 1_000_000


def appended(text: str, key: str, entry: Mapping[str, object], file: str) -> str:
    """Append an entry to a list at the top of a document; comments, order and style stay.

    Args:
        text: the file's text, a valid document that is a mapping.
        key: of the list; the list is begun at the end if the document has none.
        entry: keys and values of the entry, in this order.
        file: the file's path, for the message.

    Raises:
        UserError: the list is written in a way to which nothing can be appended.
    """
    root = yaml.compose(text, _LOADER)
    assert isinstance(root, yaml.MappingNode)  # noqa: S101 - the caller has read the document
    found = next((value for name, value in root.value if name.value == key), None)
    ends = "\r\n" if "\r\n" in text else "\n"
    whole = text if text.endswith("\n") else text + ends
    if found is None:
        return whole + _in_lines(f"{key}:\n{_entry(entry, 2)}", ends)
    if not isinstance(found, yaml.SequenceNode) or found.flow_style or not found.value:
        line = found.start_mark.line + 1
        raise UserError(
            f"{file}:{line}: {key}: nothing can be appended to a list that is written so; write "
            "each entry on its own lines after '- '"
        )
    after = _last_line(found)
    lines = whole.splitlines(keepends=True)
    new = _in_lines(_entry(entry, found.start_mark.column), ends)
    return "".join([*lines[:after], new, *lines[after:]])


def _last_line(node: yaml.Node) -> int:
    """Return the number of lines up to the end of a node, without comments after it."""
    in_lines = isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value
    if not in_lines:
        end = node.end_mark
        # The end of a text in several lines is the beginning of the next line.
        return int(end.line) + (1 if end.column else 0)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)


def _entry(entry: Mapping[str, object], indent: int) -> str:
    """Write an entry, with each key on a line of its own."""
    lines = [line for key, value in entry.items() for line in _pair(key, value).splitlines()]
    dashes = ("- ", *["  "] * len(lines))
    return "".join(
        f"{' ' * indent}{dash}{line}\n" for dash, line in zip(dashes, lines, strict=False)
    )


def _pair(key: str, value: object) -> str:
    # With None, a list or a mapping is written behind its key, and with False below it.
    flow = None if isinstance(value, list | dict) else False
    written: str = yaml.safe_dump(
        {key: value}, allow_unicode=True, sort_keys=False, width=_WIDTH, default_flow_style=flow
    )
    return written


def _in_lines(text: str, ends: str) -> str:
    return text.replace("\n", ends)
