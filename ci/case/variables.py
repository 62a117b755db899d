"""Expand variables `$X` and `${X}` in a case's argv and environment. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.documents.address import bracketed, is_v6
from ci.documents.nearest import nearest
from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Variable:
    """A variable that cases may refer to.

    Attributes:
        name: without `$`; `<i>` in it is a host's index.
        meaning: description of its value.
        source: origin of its value: host, case or rank.
    """

    name: str
    meaning: str
    source: str


_HOST, _CASE, _RANK = "the host", "the case", "the rank (external_dp)"
VARIABLES = (
    Variable("LOCAL_IP", "address of this host, as the other hosts reach it", _HOST),
    Variable("MASTER_IP", "address of the head host of this server's group", _HOST),
    Variable("NODE_<i>_IP", "address of host <i>, from 0", _HOST),
    Variable("NIC_NAME", "network interface of this host's address", _HOST),
    Variable("WORKSPACE", "folder on this host for environments, models and runs", _HOST),
    Variable("FOLDER", "the process's own folder on this host", _HOST),
    Variable("MODEL", "the case's `model`, or the folder of the converted model", _CASE),
    Variable("NODE_INDEX", "this host's index, from 0", _CASE),
    Variable("NODE_RANK", "same as `$NODE_INDEX`", _CASE),
    Variable("CONFIG_INDEX", "same as `$NODE_INDEX`", _CASE),
    Variable("LWS_WORKER_INDEX", "same as `$NODE_INDEX`", _CASE),
    Variable("NUM_NODES", "number of hosts", _CASE),
    Variable("NPU_PER_NODE", "number of devices per host", _CASE),
    Variable("SERVER_PORT", "`SERVER_PORT` of the server's environment, or `server_port`", _CASE),
    Variable("PORT", "port of this server, or of the router", _RANK),
    Variable("PORT_START", "port of the first rank on this host", _RANK),
    Variable("DP_SIZE", "number of data-parallel ranks", _RANK),
    Variable("DP_SIZE_LOCAL", "number of data-parallel ranks on this host", _RANK),
    Variable("DP_RANK_START", "first data-parallel rank of this host", _RANK),
    Variable("DP_RANK", "this server's data-parallel rank", _RANK),
    Variable("LOCAL_RANK", "this server's index among the ranks of its host", _RANK),
    Variable("DP_ADDRESS", "address of the group's first rank", _RANK),
    Variable("DP_RPC_PORT", "port at that address, at which the ranks meet", _RANK),
    Variable("TP_SIZE", "tensor-parallel size", _RANK),
    Variable("CP_SIZE", "context-parallel size", _RANK),
    Variable("SP_SIZE", "sequence-parallel size", _RANK),
    Variable("PP_SIZE", "pipeline-parallel size", _RANK),
    Variable("VISIBLE_DEVICES", "indices of this rank's devices", _RANK),
)
# Variables of a single process exist only in the dialects that define them.
EVERYWHERE = tuple(
    variable.name
    for variable in VARIABLES
    if variable.source is not _RANK and variable.name != "SERVER_PORT"
)
# Their values are known only on the host, so they stay as written and are expanded there.
HOST_VARIABLES = (
    *("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ATB_HOME_PATH", "CONDA_PREFIX", "CUDA_HOME"),
    *(
        "HOME",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "NO_PROXY",
        "PATH",
        "PYTHONPATH",
        "USER",
        "no_proxy",
    ),
)
# Linux passes no longer argument or variable to a process: MAX_ARG_STRLEN of execve(2).
MAX_VALUE_CHARS = 131_071
MAX_DEPTH = 50
RUN_FOLDER = "{workspace}/.lamplighter/<host>/<run>/inputs/{process}"

# `$X` or `${X}`: the name is in the first or the second group.
REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def references(text: str) -> Iterator[str]:
    """Return the name of every variable that a text refers to."""
    for match in REFERENCE.finditer(text):
        yield match[1] or match[2]


def names(hosts: int) -> frozenset[str]:
    """Return the variables that all servers have in a case with this number of hosts."""
    addresses = [f"NODE_{index}_IP" for index in range(hosts)]
    return frozenset([*(name for name in EVERYWHERE if "<" not in name), *addresses])


def expand(text: str, known: Mapping[str, str], location: str) -> str:
    """Replace every reference in `text` by its value.

    Args:
        text: one argument, or one environment value.
        known: variable → value.
        location: file and key path, for the error.

    Raises:
        UserError: the text refers to an unknown variable, or becomes too long.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in known:
            return _bracketed_if_needed(known[name], match)
        if name in HOST_VARIABLES:
            return match[0]
        near = nearest(name, [*known, *HOST_VARIABLES])
        guess = f"did you mean ${near}? Known" if near else "known"
        raise UserError(
            f"{location}: unknown variable ${name}; {guess} here: {', '.join(sorted(known))}; "
            f"left to the host: {', '.join(HOST_VARIABLES)}",
        )

    expanded = REFERENCE.sub(value, text)
    if len(expanded) > MAX_VALUE_CHARS:
        raise UserError(
            f"{location}: longer than {MAX_VALUE_CHARS} characters with its variables expanded, "
            "which is more than Linux passes to a process; shorten it"
        )
    return expanded


def _bracketed_if_needed(value: str, match: re.Match[str]) -> str:
    """Put an IPv6 address in brackets if its reference is in a URL or before a port.

    Examples: `http://$LOCAL_IP:8000` and `$MASTER_IP:50088`.
    """
    in_url = match.string[: match.start()].endswith("//")
    at_port = re.match(r":[\d$]", match.string[match.end() :])
    return bracketed(value) if (in_url or at_port) and is_v6(value) else value


def expand_env(env: Mapping[str, str], known: Mapping[str, str], location: str) -> dict[str, str]:
    """Expand an environment; its values may refer to one another, but not in a cycle.

    Raises:
        UserError: an unknown variable, or a value that refers to itself or becomes too long.
    """
    values: dict[str, str] = {}
    for key in env:
        _resolve(key, env, known, location, (), values)
    return {key: values[key] for key in env}


def _resolve(  # noqa: PLR0913, PLR0917 - it calls itself
    key: str,
    env: Mapping[str, str],
    known: Mapping[str, str],
    location: str,
    above: tuple[str, ...],
    values: dict[str, str],
) -> None:
    """Expand one value into `values`, after the values that it refers to."""
    if key in values:
        return
    if key in above:
        raise UserError(
            f"{location}.{key}: its value refers to itself: {' → '.join((*above, key))}"
        )
    if len(above) > MAX_DEPTH:
        raise UserError(
            f"{location}.{above[0]}: its value refers to others, and these to others, more than "
            f"{MAX_DEPTH} times; write the value out"
        )
    # `PATH: /x:$PATH` refers to the host's PATH, `PORT: $PORT` to the case's variable.
    itself = {key} & {*HOST_VARIABLES, *known}
    others = (set(references(env[key])) & set(env)) - itself
    for name in others:
        _resolve(name, env, known, location, (*above, key), values)
    named = {name: values[name] for name in others}
    values[key] = expand(env[key], {**known, **named}, f"{location}.{key}")
