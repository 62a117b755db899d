"""Explain why a text is not YAML: the line with the mistake, and what to write instead. Pure.

PyYAML reports where it gave up, which is often the line after the mistake.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from ci.documents.nearest import nearest
from ci.documents.position import Position

if TYPE_CHECKING:
    import yaml

_ANCHOR = re.compile(r"(?:(?<=\s)|^)&([\w.-]+)", re.MULTILINE)
# An item of a list; YAML takes it for text.
WITHOUT_SPACE = re.compile("-[\"'$]")
NO_SPACE = "a space is missing after the '-' of this list item"
ESCAPE = (
    "not a valid escape; in double quotes write '\\\\' for a backslash, "
    "and other characters as they are"
)
_MAX_SHOWN = 40
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
    at = Position.of(error.problem_mark or error.context_mark)
    begun = Position.of(error.context_mark or error.problem_mark)
    context, problem, rest = error.context or "", error.problem or "", _rest(lines, at)
    if rest.startswith("\t"):
        return at, "a tab here is not valid YAML; use spaces"
    if "mapping values are not allowed" in problem:
        return _mistake_above(lines, at) or _second_colon(lines, at)
    if "could not find expected ':'" in problem:
        dash = _without_dash(lines, begun)
        return _mistake_above(lines, begun) or dash or (begun, _without_colon(_rest(lines, begun)))
    if "escape" in problem or "hexdecimal" in problem:
        # The C loader is at the backslash, the Python loader behind it.
        backslash = lines[at.line - 1].rfind("\\", 0, at.column)
        return Position(at.line, backslash + 1), ESCAPE
    if "flow" in context or "quoted scalar" in context:
        return begun, _unclosed(_rest(lines, begun)[:1])
    if "undefined alias" in problem:
        message = _undefined(rest, at, text)
    elif "character that cannot start" in problem and rest:
        message = f"text cannot begin with {rest[0]!r} in YAML; put it in quotes"
    elif "block" in context and (found := _mistake_above(lines, at)):
        at, message = found
    elif "block" in context:
        message = _after_quote(lines, at) or _misaligned(context, rest)
    else:
        reason = ", ".join(part for part in (context, problem) if part)
        message = f"not valid YAML: {reason}"
    return at, message


def _misaligned(context: str, rest: str) -> str:
    if "mapping" in context and rest.startswith("- "):
        return "a list item among the keys of a mapping; remove the '-', or align it with a list"
    return (
        "not valid YAML: this line's indentation fits nothing above it; align it with the keys or "
        "the '-' of its section"
    )


def _after_quote(lines: list[str], at: Position) -> str | None:
    """Say what to do about text after a closing quote; None if nothing is before it."""
    before, rest = lines[at.line - 1][: at.column - 1], _rest(lines, at).rstrip()
    if not before.rstrip().endswith(("'", '"')):
        return None
    if rest in {",", ";"}:
        return f"{rest!r} after the value is not YAML; remove it"
    if "{" in before:
        return "JSON needs single quotes around all of it, and double quotes inside"
    return f"{rest[:_MAX_SHOWN]!r} follows a closing quote; put the whole text in quotes"


def _without_dash(lines: list[str], at: Position) -> tuple[Position, str] | None:
    """Find a list item without its '-' below an item that has one."""
    above = lines[at.line - 2] if at.line > 1 else ""
    item = re.match(r"(\s*)- ", above)
    if item and len(item[1]) == at.column - 1 and not re.search(r":(\s|$)", _rest(lines, at)):
        return at, f"a '-' is missing here; write `- {_rest(lines, at).rstrip()[:_MAX_SHOWN]}`"
    return None


def _mistake_above(lines: list[str], at: Position) -> tuple[Position, str] | None:
    if item := _item_without_space(lines, at):
        return item, NO_SPACE
    quote = _opened(lines, at)
    return (quote, "this quote is not closed on its line; add the closing quote") if quote else None


def _item_without_space(lines: list[str], at: Position) -> Position | None:
    """Find `-"text"` at the top of the list that ends at a position; None if there is none."""
    for number in range(min(at.line, len(lines)), 0, -1):
        text = lines[number - 1].lstrip()
        if WITHOUT_SPACE.match(text):
            return Position(number, len(lines[number - 1]) - len(text) + 1)
        if text and not text.startswith(("-", "#")) and number < at.line:
            return None
    return None


def _opened(lines: list[str], at: Position) -> Position | None:
    """Find the quote of an earlier line that the quote before `at` closes; None if there is none.

    The quote before `at` was meant to open a text, so there is space before it.
    """
    before = lines[at.line - 1][: at.column - 1].rstrip() if at.line <= len(lines) else ""
    quote = before[-1:]
    if quote not in {"'", '"'} or not re.search(r"[\s,[{]$", before[:-1]):
        return None
    above = (number for number in range(at.line - 1, 0, -1) if lines[number - 1].count(quote) % 2)
    line = next(above, 0)
    return Position(line, lines[line - 1].rindex(quote) + 1) if line else None


def _unclosed(opening: str) -> str:
    if opening in {"'", '"'}:
        return "this quote is not closed; add the closing quote"
    if opening not in _CLOSING:
        return "not valid YAML: a quote or bracket is not closed from here on"
    close = f"a {_CLOSING[opening]!r} for this {opening!r}"
    return f"not valid YAML: {close} is missing, or a quote or comma inside it"


def _rest(lines: list[str], at: Position) -> str:
    line = lines[at.line - 1] if at.line <= len(lines) else ""
    return line[at.column - 1 :]


def _without_colon(line: str) -> str:
    match = _NO_COLON.fullmatch(line.rstrip())
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
        return "a conflict of git is not resolved here; keep one side, and remove such lines"
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
    above = lines[at.line - 2] if at.line > 1 else ""
    begin = Position(max(1, at.line - 1), _indentation(above))
    if (
        above
        and _NO_COLON.fullmatch(_rest(lines, begin).rstrip())
        and not re.search(r":(\s|$)", above)
    ):
        return begin, _without_colon(_rest(lines, begin))
    begin = Position(at.line, _indentation(line))
    return begin, (
        "not valid YAML: this line is indented deeper than the line above, whose value is already "
        "complete; align both"
    )


def _indentation(line: str) -> int:
    """Return the column of a line's first key, from 1."""
    match = re.match(r"\s*(?:- +)*", line)
    return match.end() + 1 if match else 1
