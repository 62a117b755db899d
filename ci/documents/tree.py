"""Convert a YAML node tree to a plain value, with all positions. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from ci.documents.position import UNPRINTABLE, KeyPath, Position, refuse
from ci.documents.syntax import NO_SPACE, WITHOUT_SPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 50
_MAX_VALUES = 50_000
# Longer scalars are not numbers; PyYAML needs quadratic time for some of them.
_MAX_NUMBER = 100
# YAML 1.1 reads these in base 8 and 60: 022 is 18, and 22:30 is 1350.
_BASES = {8: re.compile(r"[-+]?0[0-7_]+"), 60: re.compile(r"[-+]?[0-9_]+(:[0-9]+)+([.][0-9_]*)?")}
# A word processor's quotes around a whole value: YAML takes them for text.
_IN_TYPOGRAPHIC_QUOTES = re.compile(
    "[\u2018-\u201f\u300c\uff02\uff07].*[\u2018-\u201f\u300d\uff02\uff07]", re.DOTALL
)
_TAG = "tag:yaml.org,2002:"
_NUMBERS = {_TAG + "int", _TAG + "float"}
_SCALARS = {_TAG + kind for kind in ("null", "bool", "int", "float", "str", "timestamp")}


@dataclass
class Tree:
    """Convert a node tree, with a limit on values so that aliases cannot multiply without end."""

    file: str
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)
    _scalars: Any = field(default_factory=yaml.constructor.SafeConstructor)
    _pairs: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = field(default_factory=dict)
    _open: list[int] = field(default_factory=list)
    _left: int = _MAX_VALUES

    def build(self, node: yaml.Node, path: KeyPath = ()) -> object:
        """Return the node's value, and fill `keys` and `values` with its positions."""
        self.values[path] = Position.of(node.start_mark)
        self._spend(1, node, path)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._enter(node, path)
        value: object
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            value = [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            value = self._mapping(node, path)
        else:
            self._stop(node, path, f"the tag {node.tag} is not supported; remove it")
        self._open.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        pairs = self._flatten(node, path)
        for name, (key, _) in pairs.items():
            self.keys[*path, name] = Position.of(key.start_mark)
        return {name: self.build(value, (*path, name)) for name, (_, value) in pairs.items()}

    def _flatten(
        self, node: yaml.MappingNode, path: KeyPath
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Resolve the merge key: own keys win, then the earlier of a list (YAML 1.1's merge type).

        PyYAML's own loaders are not used: their order depends on the version.
        """
        if id(node) in self._pairs:
            return self._pairs[id(node)]
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merge_key: yaml.Node | None = None
        for key, value in node.value:
            if key.tag == _TAG + "merge":
                self._refuse_second_merge(merge_key, key, path)
                merge_key = key
                for source in self._merge_sources(value, path):
                    merged.update(self._flatten_merged(source, path))
            else:
                name = self._key(key, path, own)
                own[name] = (key, value)
        self._pairs[id(node)] = merged | own
        return self._pairs[id(node)]

    def _flatten_merged(
        self, node: yaml.MappingNode, path: KeyPath
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        self._enter(node, path)
        pairs = self._flatten(node, path)
        self._open.pop()
        self._spend(len(pairs) + 1, node, path)
        return pairs

    def _refuse_second_merge(self, first: yaml.Node | None, key: yaml.Node, path: KeyPath) -> None:
        if first is not None:
            line = first.start_mark.line + 1
            message = (
                f"'<<' is written twice, first on line {line}; merge both with one list, "
                "`<<: [*A, *B]`, in which the earlier one wins"
            )
            self._stop(key, path, message)

    def _merge_sources(self, value: yaml.Node, path: KeyPath) -> list[yaml.MappingNode]:
        sources = [value] if isinstance(value, yaml.MappingNode) else value.value
        if isinstance(value, yaml.ScalarNode) or not all(
            isinstance(source, yaml.MappingNode) for source in sources
        ):
            name = value.value if isinstance(value, yaml.ScalarNode) else ""
            write = f"; write `<<: *{name}`" if re.fullmatch(r"[\w.-]+", name) else ""
            message = f"'<<' merges a mapping, or a list of mappings, by its anchor{write}"
            self._stop(value, path, message)
        return list(reversed(sources))

    def _key(self, key: yaml.Node, path: KeyPath, earlier: Mapping[str, Any]) -> str:
        name = self._scalar(key, path) if isinstance(key, yaml.ScalarNode) else None
        if isinstance(key, yaml.MappingNode):
            message = "'{{' belongs to a template, which nothing renders; write ${NAME}"
            self._stop(key, path, message)
        if not isinstance(name, str):
            shown = f"'{key.value}'" if isinstance(key, yaml.ScalarNode) else "this key"
            self._stop(key, path, f"a key has to be text; put {shown} in quotes")
        if name in {"<", "<<<", "<<:"}:
            self._stop(key, (*path, name), "write `<<: *ANCHOR` to merge a mapping")
        if name in earlier:
            first = earlier[name][0].start_mark.line + 1
            message = f"written twice, first on line {first}; remove one of them"
            self._stop(key, (*path, name), message)
        return name

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        if node.tag not in _SCALARS:
            self._stop(node, path, f"'{node.value}' has the tag {node.tag}; put it in quotes")
        if node.tag in _NUMBERS and len(node.value) > _MAX_NUMBER:
            self._stop(node, path, "far too long for a number; put it in quotes if it is text")
        try:
            value: object = self._scalars.construct_object(node)
        except (ValueError, LookupError, ArithmeticError, AttributeError, yaml.YAMLError):
            kind = node.tag.removeprefix(_TAG)
            self._stop(node, path, f"'{node.value:.60}' is not a valid {kind}; put it in quotes")
        if node.tag in _NUMBERS:
            self._refuse_other_base(node, path, value)
        if not node.style and _IN_TYPOGRAPHIC_QUOTES.fullmatch(node.value):
            message = f"{node.value[0]} and {node.value[-1]} are part of the text; write \" or '"
            self._stop(node, path, message)
        if not node.style:
            self._refuse_lost_text(node, path, value)
        if isinstance(value, str) and (match := UNPRINTABLE.search(value)):
            self._stop(node, path, f"control character {match.group()!r}; remove it")
        return value

    def _refuse_other_base(self, node: yaml.ScalarNode, path: KeyPath, value: object) -> None:
        for base, written in _BASES.items():
            if written.fullmatch(node.value):
                message = (
                    f"YAML reads '{node.value}' in base {base}, as {value}; write the number that "
                    "you mean in base 10, without a leading 0; put it in quotes if it is text"
                )
                self._stop(node, path, message)

    def _refuse_lost_text(self, node: yaml.ScalarNode, path: KeyPath, value: object) -> None:
        """Refuse what YAML does not read as the text that it looks like."""
        if WITHOUT_SPACE.match(node.value):
            self._stop(node, path, NO_SPACE)
        section = str(path[-2]) if len(path) > 1 else ""
        word = node.tag == _TAG + "bool" and node.value.lower() not in {"true", "false"}
        number = node.tag in _NUMBERS and str(value) != node.value
        if ("env" in section and word) or (section == "special_dependencies" and number):
            message = f"YAML reads '{node.value}' as {str(value).lower()}; put it in quotes"
            self._stop(node, path, message)

    def _enter(self, node: yaml.Node, path: KeyPath) -> None:
        if id(node) in self._open:
            self._stop(node, path, "this anchor contains itself; remove the alias inside it")
        if len(self._open) >= MAX_DEPTH:
            self._stop(node, path, f"nested more than {MAX_DEPTH} deep: not a case file")
        self._open.append(id(node))

    def _spend(self, values: int, node: yaml.Node, path: KeyPath) -> None:
        self._left -= values
        if self._left < 0:
            message = (
                f"aliases expand this file to more than {_MAX_VALUES} values; use fewer aliases"
            )
            self._stop(node, path, message)

    def _stop(self, node: yaml.Node, path: KeyPath, message: str) -> NoReturn:
        refuse(self.file, Position.of(node.start_mark), path, message)
