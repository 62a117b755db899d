"""What a `server_cmd_template` says against the `config` entry that it is filled from. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from ci.case.external_dp.ranks import known
from ci.case.external_dp.substitute import settle
from ci.documents.strict import Strict
from ci.documents.values import Env, Index, Text
from ci.vllm.command_line import long_name
from ci.vllm.devices import VISIBLE
from ci.vllm.ports import SERVER_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.case.external_dp.ranks import Member
    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_OF_GROUPS = {"--data-parallel-rank", "--data-parallel-address", "--data-parallel-rpc-port"}
_KV_ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}


class Template(Strict):
    """One entry of `templates`: environment and arguments of the servers on one host."""

    node_index: Index | None = None
    envs: Env = Field(description="it is the environment of the servers; {} if empty")
    server_cmd_template: list[Text] = Field(
        description="it lists the arguments after `vllm serve MODEL`, one per item",
    )


@dataclass(frozen=True)
class Meant:
    """An option that should carry a variable of `config`; `default` is vLLM's own value."""

    flag: str
    variable: str
    default: str | None = None


_EACH_RANK = (Meant("--port", "PORT", str(SERVER_PORT)), Meant("--data-parallel-rank", "DP_RANK"))
_EACH_HOST = (
    Meant("--data-parallel-size", "DP_SIZE", "1"),
    Meant("--data-parallel-address", "DP_ADDRESS"),
    Meant("--data-parallel-rpc-port", "DP_RPC_PORT"),
    Meant("--tensor-parallel-size", "TP_SIZE", "1"),
    Meant("--pipeline-parallel-size", "PP_SIZE", "1"),
)


@dataclass(frozen=True)
class Given:
    """An option as a template gives it: its value as written, and where that stands."""

    value: str
    path: KeyPath


@dataclass(frozen=True)
class Filled:
    """A template with what fills it.

    Attributes:
        index: of its host.
        template: its entry of `templates`.
        member: the entry of `config`.
        role: what the host does.
    """

    index: int
    template: Template
    member: Member
    role: str

    @property
    def path(self) -> KeyPath:
        """Where its command line stands."""
        return ("templates", self.index, "server_cmd_template")

    def text(self, written: str, local_rank: int) -> str:
        """What a text becomes for one rank, as far as its own variables settle it."""
        own = known(self.member, self.index, local_rank)
        env = {key: settle(value, own) for key, value in self.template.envs.items()}
        return settle(settle(written, env), own)


def defects(filled: Filled, source: Source) -> Iterator[Problem]:
    """Report arguments that vLLM cannot read, and what all ranks of a host would share."""
    given = _options(filled)
    for position, word in enumerate(filled.template.server_cmd_template):
        if match := re.match(r"(--[\w-]+)[ \t]", word):
            message = f"{match[1]} and its value are one argument; write them as two items"
            yield source.at_value((*filled.path, position), message)
        elif word in {"vllm", "serve"} and position == 0:
            message = "'vllm serve' and the model go before this list; begin with an option"
            yield source.at_value((*filled.path, position), message)
    for flag, one in given.items():
        text = filled.text(one.value, 0)
        if flag.endswith("-config") and text.startswith("{") and isinstance(_json(text), str):
            yield source.at_value(one.path, f"the value of {flag} is not JSON: {_json(text)}")
    for meant in _EACH_RANK if filled.member.dp_size_local > 1 else ():
        yield from _shared(filled, meant, given.get(meant.flag), source)


def warnings(
    filled: Filled, members: Mapping[str, Sequence[Member]], source: Source
) -> Iterator[Problem]:
    """Report where a sound template contradicts `config` or `routing`.

    Args:
        filled: without `defects`.
        members: the entries of each role.
        source: where everything stands.
    """
    given = _options(filled)
    for meant in (*_EACH_RANK, *_EACH_HOST):
        yield from _other(filled, meant, given.get(meant.flag), source)
    several = filled.member.dp_size_local > 1
    if several and not any("VISIBLE_DEVICES}" in value for value in filled.template.envs.values()):
        message = (
            "all ranks of this host would take the same devices; set "
            f"{' or '.join(VISIBLE.values())} to ${{VISIBLE_DEVICES}}"
        )
        yield source.at_key(("templates", filled.index, "envs"), message)
    if transfer := given.get("--kv-transfer-config"):
        yield from _transfer(filled, transfer, members, source)


def _options(filled: Filled) -> dict[str, Given]:
    """Each option with its value; the last one given counts."""
    options: dict[str, Given] = {}
    for position, word in enumerate(filled.template.server_cmd_template):
        flag, equals, inline = word.partition("=")
        if not re.fullmatch(r"--?[A-Za-z][\w-]*", flag):
            continue
        flag = long_name(flag)
        if equals:
            options[flag] = Given(inline, (*filled.path, position))
        elif position + 1 < len(filled.template.server_cmd_template):
            options[flag] = Given(
                filled.template.server_cmd_template[position + 1], (*filled.path, position + 1)
            )
    return options


def _shared(filled: Filled, meant: Meant, given: Given | None, source: Source) -> Iterator[Problem]:
    """Report an option that all ranks of a host would get the same value of."""
    count, add = filled.member.dp_size_local, f"${{{meant.variable}}}"
    if given is None:
        all_on = f"all {count} ranks of this host would listen on {meant.default}; "
        message = f"{all_on if meant.default else ''}{meant.flag} is missing; add it with {add}"
        yield source.at_key(filled.path, message)
    elif filled.text(given.value, 0) == filled.text(given.value, 1):
        message = f"all {count} ranks of this host would get {meant.flag} {given.value}"
        yield source.at_value(given.path, f"{message}; write {add}")


def _other(filled: Filled, meant: Meant, given: Given | None, source: Source) -> Iterator[Problem]:
    """Compare one option of the first rank with what `config` says of it."""
    expected = known(filled.member, filled.index, 0)[meant.variable]
    if meant.flag in _OF_GROUPS and filled.member.dp_size == 1:
        return
    if given is None:
        if expected != meant.default:
            message = f"{meant.flag} is missing, though config says {expected}; add it with"
            yield source.at_key(filled.path, f"{message} ${{{meant.variable}}}")
        return
    value = filled.text(given.value, 0)
    if value != expected and ("$" not in value or "$" in expected):
        message = f"{meant.flag} is {value}, but config says {expected}; what is here holds"
        yield source.at_value(given.path, message)


def _transfer(
    filled: Filled, given: Given, members: Mapping[str, Sequence[Member]], source: Source
) -> Iterator[Problem]:
    """Compare the transfer of key-value caches with the roles, and with the groups' sizes."""
    value = _json(filled.text(given.value, 0))
    if not isinstance(value, dict):
        return
    role, expected = value.get("kv_role"), _KV_ROLES.get(filled.role)
    if expected and isinstance(role, str) and role not in {expected, "kv_both"}:
        message = f"kv_role is {role}, but routing makes host {filled.index} a {filled.role} one"
        yield source.at_value(given.path, message)
    for name, key, size in _sizes(value):
        there = {getattr(member, key) for member in members.get(name, ())}
        if there and size not in there:
            has = " or ".join(map(str, sorted(there)))
            message = f"says {key} {size} of {name}, but config has {has} there"
            yield source.at_value(given.path, message)


def _sizes(value: dict[str, object]) -> Iterator[tuple[str, str, int]]:
    """The sizes that a transfer, and each of those within it, says the groups have."""
    extra = value.get("kv_connector_extra_config")
    if not isinstance(extra, dict):
        return
    for name in ("prefill", "decode"):
        group = extra.get(name)
        for key in ("dp_size", "tp_size", "pp_size"):
            size = group.get(key) if isinstance(group, dict) else None
            if isinstance(size, int):
                yield name, key, size
    connectors = extra.get("connectors")
    for one in connectors if isinstance(connectors, list) else ():
        if isinstance(one, dict):
            yield from _sizes(one)


def _json(text: str) -> object:
    """The value of a JSON text; what is wrong with it as text, where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        return str(error)
    except RecursionError:
        return "nested too deep"
