"""YAML text → its plain value and the place of every key and value. Touches nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from ci.documents.place import START, UNPRINTABLE, KeyPath, Place, key_text, refuse
from ci.documents.tree import MAX_DEPTH, Tree
from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 1 << 20
_LEAST = {"case": "a deployment", "cluster": "one host", "configuration": "one key"}
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Source:
    """A case file as read.

    Attributes:
        file: path as the user gave it.
        value: the document as dicts, lists and scalars.
        keys: where each key of a mapping stands, by key path.
        values: where each value begins, by key path; the document itself under `()`.
    """

    file: str
    value: object
    keys: Mapping[KeyPath, Place]
    values: Mapping[KeyPath, Place]

    def at_key(self, path: KeyPath, message: str) -> Problem:
        """Report a problem at the key, or at the nearest key or list item around it."""
        near = path
        while near not in self.keys and near not in self.values:
            near = near[:-1]
        place = self.keys.get(near) or self.values[near]
        return Problem(self.file, place.line, place.column, key_text(path), message)

    def at_value(self, path: KeyPath, message: str) -> Problem:
        """Report a problem at the value."""
        place = self.values[path]
        return Problem(self.file, place.line, place.column, key_text(path), message)


def read(data: bytes, file: str, kind: str = "case") -> Source:
    """Read one YAML document.

    Scalars are what PyYAML's safe loader makes of them. Keys have to be text and may not repeat,
    `<<` included; where `<<` merges a list, the earlier mapping wins. No version of PyYAML changes
    this.

    Args:
        data: the file's bytes.
        file: its path, as problems name it.
        kind: what the file should be, as problems name it.

    Raises:
        CaseError: the bytes are not one sound YAML document.
    """
    text = _decode(data, file, kind)
    try:
        _check_shape(text, file, kind, _LOADER)
        root = yaml.compose(text, _LOADER)
    except yaml.MarkedYAMLError as error:
        _refuse_deep_nesting(text, file, kind)
        raise _syntax_problem(error, text, file) from error
    except yaml.YAMLError as error:
        refuse(file, START, (), f"not valid YAML: {error}")
    if root is None:
        refuse(file, START, (), f"the file is empty; a {kind} needs at least {_LEAST[kind]}")
    tree = Tree(file)
    value = tree.build(root)
    return Source(file, value, tree.keys, tree.values)


def _decode(data: bytes, file: str, kind: str) -> str:
    if len(data) > MAX_BYTES:
        refuse(file, START, (), f"larger than {MAX_BYTES >> 20} MiB: not a {kind} file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place.after(data[: error.start].decode("utf-8-sig", "replace"))
        refuse(file, place, (), "not UTF-8 text; save the file as UTF-8")
    if found := UNPRINTABLE.search(text):
        message = f"control character {found.group()!r}; remove it"
        refuse(file, Place.after(text[: found.start()]), (), message)
    return text


def _check_shape(text: str, file: str, kind: str, loader: type[Any]) -> None:
    """Refuse what would crash the C composer (deep nesting) or be lost (further documents)."""
    depth = documents = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > MAX_DEPTH:
            message = f"nested more than {MAX_DEPTH} deep: not a {kind} file"
            refuse(file, Place.of(event.start_mark), (), message)
        if documents > 1:
            message = f"a second document begins here; one {kind} a file: remove the '---'"
            refuse(file, Place.of(event.start_mark), (), message)


def _refuse_deep_nesting(text: str, file: str, kind: str) -> None:
    """Report deep nesting in the same words, also where the C loader stopped at it first.

    From PyYAML 6.0.4 on it has a limit of its own, and reads ahead of the events that it returns.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:
        with suppress(yaml.YAMLError):
            _check_shape(text, file, kind, yaml.SafeLoader)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> CaseError:
    place = Place.of(error.problem_mark or error.context_mark)
    said = ", ".join(part for part in (error.context, error.problem) if part)
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    message = f"not valid YAML: {said}"
    if "\t" in line[place.column - 1 : place.column]:
        message = "a tab here is not valid YAML; use spaces"
    return CaseError((Problem(file, place.line, place.column, "", message),))
