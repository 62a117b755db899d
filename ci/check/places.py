"""Move the problems of a case to the flag, variable or word that they name. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.documents.json_advice import correction
from ci.documents.position import Position
from ci.vllm.command_line import option

if TYPE_CHECKING:
    from ci.case.model import Case, Node
    from ci.check.key_index import KeyIndex
    from ci.errors import Problem

_COMMANDS = ("server_cmd_template", "server_cmd")
OF_COMMAND = re.compile(r"\.\w*(?:cmd|command)\w*(?:\[\d+\])?$")
_QUOTED = re.compile(
    r"(?:shell|begins with)\b.*?'(.+?)'(?=[ ;,]|$)|(?:begins|in this) one: (.+)", re.DOTALL
)
_FLAG_OR_VARIABLE = re.compile(r"(?<!\S)(?:--[a-z][\w-]*|\$\w+|\$\{[\w.]+\})")


def nearer(problem: Problem, index: KeyIndex | None, document: object = None) -> Problem:
    """Move a problem from the key of a long command line to the flag or variable that it names.

    Args:
        problem: as read.
        index: of its file; None if the file cannot be read.
        document: the file's value, for the places of problems in JSON.
    """
    if index and " is not JSON: " in problem.message:
        return _in_json(problem, index, document)
    word = _named(problem) if index and problem.file == index.file else ""
    keys = (problem.key, command_key(problem.key, index)) if index else ()
    value = _value_of(word, problem.message)
    places = (index.within(word, key, value) for key in keys) if index and word else ()
    place = next(filter(None, places), None)
    return replace(problem, line=place.line, column=place.column) if place else problem


def _in_json(problem: Problem, index: KeyIndex, document: object) -> Problem:
    value = document
    for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", problem.key):
        value = value[name or int(number)]  # type: ignore[index]
    text = str(value)
    try:
        json.loads(text[text.index("{") :])
    except json.JSONDecodeError as error:
        place = index.in_json(Position(problem.line, problem.column), correction(error)[1])
        return replace(problem, line=place.line, column=place.column)
    except RecursionError:
        pass
    return problem


def placed(key: str, message: str, case: Case, index: KeyIndex) -> Problem:
    """Return a problem at the flag that it names, or at the variable with the flag's value."""
    flag = flag_of(message)
    for node in case.nodes:
        value = option(node.argv, flag) if flag and node.key_path == key else None
        variable = re.fullmatch(r"\$(\w+)|\$\{(\w+)\}", value or "")
        name = variable and (variable[1] or variable[2])
        if name and (own := env_keys(node, index).get(name)):
            return index.problem(own, message)
    # A flag that the file lacks belongs into the command line.
    command = command_key(key, index)
    lacks = flag.startswith("--") and index.has(command) and not index.within(flag, command)
    return nearer(index.problem(command if lacks else key, message, flag), index)


def _named(problem: Problem) -> str:
    """Return the word that a message is about: a flag, a variable, or what a shell interprets."""
    quoted = OF_COMMAND.search(problem.key) and _QUOTED.search(problem.message)
    return (quoted[1] or quoted[2]) if quoted else flag_of(problem.message)


def _value_of(flag: str, message: str) -> str:
    """Return the value that follows a flag in a message about it: `--port 80800 is not a port`."""
    match = (
        re.match(rf"{re.escape(flag)} (\S+?)(?: is |: )", message)
        if flag.startswith("--")
        else None
    )
    return match[1] if match else ""


def flag_of(message: str) -> str:
    """Return the first flag or variable in a message; empty if there is none."""
    match = _FLAG_OR_VARIABLE.search(message)
    return match.group() if match else ""


def flags_of(message: str) -> set[str]:
    """Return the flags that a message names."""
    return set(re.findall(r"(?<!\S)--[a-z][\w-]*", message))


def env_keys(node: Node, index: KeyIndex) -> dict[str, str]:
    """Return the key path of each variable of a server that stands in the file."""
    section = re.sub(r"\.epd_server_cmds\[\d+\]", "", node.key_path)
    places = (f"{section}.envs", f"{section}.env_extend", "env_common")
    found = {name: [f"{place}.{name}" for place in places] for name in node.env}
    keys = {name: next(filter(index.has, keys), "") for name, keys in found.items()}
    return {name: key for name, key in keys.items() if key}


def command_key(server_key: str, index: KeyIndex) -> str:
    """Return the key path of a server's command line; the server's own if the file has none."""
    candidates = (f"{server_key}.{key}" for key in _COMMANDS)
    return next((key for key in candidates if index.has(key)), server_key)
