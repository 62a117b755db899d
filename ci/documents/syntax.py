"""Explain why a text is not YAML: the line with the mistake, and what to write instead. Pure.

PyYAML reports where it gave up, which is often the line after the mistake.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from ci.documents.messages import nearest
from ci.documents.position import Position

if TYPE_CHECKING:
    import yaml

_ANCHOR = re.compile(r"(?:(?<=\s)|^)&([\w.-]+)", re.MULTILINE)
_CLOSING = {"[": "]", "{": "}"}
# A key, then what stands for `: ` between it and its value.
_NO_COLON = re.compile(r"(?P<key>[\w.-]+)(?P<between>\s*[:=\uff1a]\s*|\s+)(?P<value>\S.*)?")


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[Position, str]:
    """Return the position of the mistake, and the message.

    Args:
        error: PyYAML's, of the Python or the C loader.
        text: the whole file.
    """
    lines = text.splitlines()
    at, begun = Position.of(error.problem_mark or error.context_mark), error.context_mark
    context, problem = error.context or "", error.problem or ""
    rest = _rest(lines, at)
    if rest.startswith("\t"):
        return at, "a tab here is not valid YAML; use spaces"
    if "could not find expected ':'" in problem and begun:
        at = Position.of(begun)
        return at, _without_colon(_rest(lines, at))
    if "undefined alias" in problem:
        return at, _undefined(rest, at, text)
    if "mapping values are not allowed" in problem:
        return _second_colon(lines, at)
    if "character that cannot start" in problem and rest:
        return at, f"text cannot begin with {rest[0]!r} in YAML; put it in quotes"
    if "flow" in context and begun:
        at = Position.of(begun)
        bracket = _rest(lines, at)[:1]
        close = f"a {_CLOSING.get(bracket, 'bracket')!r} for this {bracket!r}"
        return at, f"not valid YAML: {close} is missing, or a quote or comma inside it"
    if "quoted scalar" in context and begun:
        return Position.of(begun), "this quote is not closed; add the closing quote"
    if "block" in context:
        advice = "align it with the keys or the '-' of its section"
        return at, f"not valid YAML: this line's indentation fits nothing above it; {advice}"
    reason = ", ".join(part for part in (context, problem) if part)
    return at, f"not valid YAML: {reason}"


def _rest(lines: list[str], at: Position) -> str:
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    return line[at.column - 1 :]


def _without_colon(line: str) -> str:
    match = _NO_COLON.fullmatch(line.rstrip())
    if match is None:
        return "not valid YAML: expected `key: value`"
    between = match["between"].strip()
    written = f"{match['key']}: {match['value'] or ''}".rstrip()
    if between and not between.isascii():
        name = unicodedata.name(between).lower()
        return f"{between!r} is a {name}; write `{written}` with the ':' of a keyboard"
    if between == ":":
        return f"a space is missing after ':'; write `{written}`"
    wrong = f"has {between!r} in place of ':'" if between else "has no ':' after its key"
    return f"{wrong}; write `{written}`"


def _undefined(rest: str, at: Position, text: str) -> str:
    found = re.match(r"\*([\w.-]+)", rest)
    name = found[1] if found else ""
    first: dict[str, int] = {}
    for match in _ANCHOR.finditer(text):
        first.setdefault(match[1], Position.after(text[: match.start()]).line)
    if name in first:
        return f"*{name} is used above its anchor &{name} of line {first[name]}; move that up"
    before = [anchor for anchor, line in first.items() if line <= at.line]
    near = nearest(name, before)
    known = f"there are: {', '.join(before)}" if before else "the lines above define no anchor"
    return f"there is no anchor &{name}; {f'did you mean *{near}?' if near else known}"


def _second_colon(lines: list[str], at: Position) -> tuple[Position, str]:
    """Explain a ':' inside of a value: text with a colon, or a line that is indented too deep."""
    line = lines[at.line - 1]
    match = re.match(r"(\s*(?:- )*[\w.-]+:\s+)(?=\S)", line)
    if match and match.end() < at.column:
        begin = Position(at.line, match.end() + 1)
        return begin, "this text has a ':' in it; put the whole text in quotes"
    begin = Position(at.line, len(line) - len(line.lstrip()) + 1)
    return begin, (
        "not valid YAML: this line is indented deeper than the line above, whose value is already "
        "complete; align both"
    )
