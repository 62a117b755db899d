"""Move the problems of a case to the flag, variable or word that they name. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.vllm.command_line import option

if TYPE_CHECKING:
    from ci.case.model import Case, Node
    from ci.check.key_index import KeyIndex
    from ci.errors import Problem

_COMMANDS = ("server_cmd_template", "server_cmd")
_OF_COMMAND = re.compile(r"\.\w*(?:cmd|command)\w*(?:\[\d+\])?$")
_QUOTED = re.compile(r"(?:shell|begins with)\b.*?'(.+?)'(?=[ ;,]|$)|begins one: (.+)")
_FLAG_OR_VARIABLE = re.compile(r"(?<!\S)(?:--[a-z][\w-]*|\$\w+)")


def nearer(problem: Problem, index: KeyIndex | None) -> Problem:
    """Move a problem from the key of a long command line to the flag or variable that it names."""
    word = _named(problem) if index and problem.file == index.file else ""
    keys = (problem.key, command_key(problem.key, index)) if index else ()
    places = (index.within(word, key) for key in keys) if index and word else ()
    place = next(filter(None, places), None)
    return replace(problem, line=place.line, column=place.column) if place else problem


def placed(key: str, message: str, case: Case, index: KeyIndex) -> Problem:
    """Return a problem at the flag that it names, or at the variable with the flag's value."""
    flag = flag_of(message)
    for node in case.nodes:
        value = option(node.argv, flag) if flag and node.key_path == key else None
        variable = re.fullmatch(r"\$(\w+)|\$\{(\w+)\}", value or "")
        name = variable and (variable[1] or variable[2])
        if name and (own := env_keys(node, index).get(name)):
            return index.problem(own, message)
    return nearer(index.problem(key, message, flag), index)


def _named(problem: Problem) -> str:
    """Return the word that a message is about: a flag, a variable, or what a shell interprets."""
    quoted = _OF_COMMAND.search(problem.key) and _QUOTED.search(problem.message)
    return (quoted[1] or quoted[2]) if quoted else flag_of(problem.message)


def flag_of(message: str) -> str:
    """Return the first flag or variable in a message; empty if there is none."""
    match = _FLAG_OR_VARIABLE.search(message)
    return match.group() if match else ""


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
