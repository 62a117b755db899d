"""Parse YAML text into a plain value and the position of every key and value. Pure."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from ci.documents.position import START, UNPRINTABLE, KeyPath, Position, key_text, refuse
from ci.documents.syntax import explain
from ci.documents.tree import MAX_DEPTH, Tree
from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 1 << 20
_MINIMUM = {"case": "a deployment", "cluster": "one host", "configuration": "one key"}
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Source:
    """A parsed YAML file.

    Attributes:
        file: path as the user gave it.
        value: the document as dicts, lists and scalars.
        keys: key path → position of the key in its mapping.
        values: key path → start of the value; `()` for the document itself.
        given: key path of a value from the command line → the flag with it.
    """

    file: str
    value: object
    keys: Mapping[KeyPath, Position]
    values: Mapping[KeyPath, Position]
    given: Mapping[KeyPath, str] = field(default_factory=dict)

    def at_key(self, path: KeyPath, message: str) -> Problem:
        """Report a problem at the key, or at the nearest key or list item around it."""
        near = path
        while near not in self.keys and near not in self.values:
            near = near[:-1]
        position = self.keys.get(near) or self.values[near]
        return Problem(self.file_of(path), position.line, position.column, key_text(path), message)

    def at_value(self, path: KeyPath, message: str) -> Problem:
        """Report a problem at the value, or at the nearest one around it.

        A value that stands for a list of it has no item of its own.
        """
        near = path
        while near not in self.values:
            near = near[:-1]
        position = self.values[near]
        return Problem(self.file_of(path), position.line, position.column, key_text(path), message)

    def file_of(self, path: KeyPath) -> str:
        """Return the file that a value is from, or the flag."""
        flags = (flag for given, flag in self.given.items() if path[: len(given)] == given)
        return next(flags, self.file)


def read(data: bytes, file: str, kind: str = "case", below: KeyPath = ()) -> Source:
    """Read one YAML document.

    Scalars are converted as by PyYAML's safe loader. Keys have to be text and may not repeat,
    `<<` included; if `<<` merges a list, the earlier mapping wins, with every version of PyYAML.

    Args:
        data: the file's bytes.
        file: its path, for messages.
        kind: the expected kind of file, for messages.
        below: the key path of the document, if it is a part of another one.

    Raises:
        CaseError: the bytes are not one valid YAML document.
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
        refuse(file, START, (), f"the file is empty; a {kind} needs at least {_MINIMUM[kind]}")
    tree = Tree(file)
    value = tree.build(root, below)
    return Source(file, value, tree.keys, tree.values)


def _decode(data: bytes, file: str, kind: str) -> str:
    if len(data) > MAX_BYTES:
        refuse(file, START, (), f"larger than {MAX_BYTES >> 20} MiB: not a {kind} file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = Position.after(data[: error.start].decode("utf-8-sig", "replace"))
        refuse(file, position, (), "not UTF-8 text; save the file as UTF-8")
    if match := UNPRINTABLE.search(text):
        odd = match.group()
        wide = "not UTF-8 text; save the file as UTF-8"  # UTF-16 without its mark has zeros
        message = wide if "\0" in text[:2] else f"control character {odd!r}; remove it"
        refuse(file, Position.after(text[: match.start()]), (), message)
    return text


def _check_shape(text: str, file: str, kind: str, loader: type[Any]) -> None:
    """Refuse deep nesting, which crashes the C composer, and further documents."""
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
            refuse(file, Position.of(event.start_mark), (), message)
        if documents > 1:
            message = f"a second document begins here; write one {kind} per file: remove the '---'"
            refuse(file, Position.of(event.start_mark), (), message)


def _refuse_deep_nesting(text: str, file: str, kind: str) -> None:
    """Report deep nesting with the same message, even if the C loader failed at it first.

    From PyYAML 6.0.4 on the loader has its own limit, and reads ahead of the events it returns.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:
        with suppress(yaml.YAMLError):
            _check_shape(text, file, kind, yaml.SafeLoader)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> CaseError:
    position, message = explain(error, text)
    return CaseError((Problem(file, position.line, position.column, "", message),))
