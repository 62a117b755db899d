"""Validate a `server_cmd_template` against its `config` entry. Pure."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from ci.case.external_dp.ranks import rank_variables
from ci.case.external_dp.substitute import substitute
from ci.documents.json_advice import correction
from ci.documents.strict import Strict
from ci.documents.values import Env, Index, Text
from ci.vllm.command_line import SERVER_PORT, long_name
from ci.vllm.devices import VISIBLE
from ci.vllm.options import apart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.external_dp.ranks import HostRanks
    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_SLIP = 0.93  # above the likeness of any two of vLLM's options that are used here
_GROUP_OPTIONS = {"--data-parallel-rank", "--data-parallel-address", "--data-parallel-rpc-port"}


def _no_variables(value: object) -> object:
    return {} if value is None else value


class Template(Strict):
    """One entry of `templates`: environment and arguments of the servers on one host."""

    node_index: Index | None = None
    envs: Annotated[Env, BeforeValidator(_no_variables)] = Field(default_factory=dict)
    server_cmd_template: list[Text] = Field(
        description="it lists the arguments after `vllm serve MODEL`, one per item",
    )


@dataclass(frozen=True)
class ExpectedOption:
    """An option that should have a variable of `config` as value; `default` is vLLM's own."""

    flag: str
    variable: str
    default: str | None = None


_DIFFERENT_PER_RANK = (
    ExpectedOption("--port", "PORT", str(SERVER_PORT)),
    ExpectedOption("--data-parallel-rank", "DP_RANK"),
)
_SAME_ON_HOST = (
    ExpectedOption("--data-parallel-size", "DP_SIZE", "1"),
    ExpectedOption("--data-parallel-address", "DP_ADDRESS"),
    ExpectedOption("--data-parallel-rpc-port", "DP_RPC_PORT"),
    ExpectedOption("--tensor-parallel-size", "TP_SIZE", "1"),
    ExpectedOption("--pipeline-parallel-size", "PP_SIZE", "1"),
)


@dataclass(frozen=True)
class GivenOption:
    """An option of a template: its value as written, and the key path of the value."""

    value: str
    path: KeyPath


@dataclass(frozen=True)
class RenderedTemplate:
    """A template with the `config` entry of its host.

    Attributes:
        index: index of the host.
        template: the host's entry of `templates`.
        member: the host's entry of `config`.
        role: the host's role.
    """

    index: int
    template: Template
    member: HostRanks
    role: str

    @property
    def path(self) -> KeyPath:
        """Return the key path of its command line."""
        return ("templates", self.index, "server_cmd_template")

    def text(self, written: str, local_rank: int) -> str:
        """Substitute one rank's own variables in a text; other references stay."""
        own = rank_variables(self.member, self.index, local_rank)
        env = {key: substitute(value, own) for key, value in self.template.envs.items()}
        return substitute(substitute(written, env), own)


def errors(rendered: RenderedTemplate, source: Source) -> Iterator[Problem]:
    """Report arguments that vLLM cannot parse, and values that ranks of a host cannot share."""
    given = _options(rendered)
    for position, word in enumerate(rendered.template.server_cmd_template):
        if parts := apart(word):
            right = f"{' and '.join(map(repr, parts))}{' as two items' if parts[1:] else ''}"
            message = f"{word!r} is one argument; write {right}"
            yield source.at_value((*rendered.path, position), message)
        elif word in {"vllm", "serve"} and position == 0:
            message = "'vllm serve' and the model go before this list; begin with an option"
            yield source.at_value((*rendered.path, position), message)
    for flag, given_option in given.items():
        text = rendered.text(given_option.value, 0)
        if flag.endswith("-config") and text.startswith("{") and (error := _json_error(text)):
            yield source.at_value(given_option.path, f"the value of {flag} is not JSON: {error}")
    for option in _DIFFERENT_PER_RANK if rendered.member.dp_size_local > 1 else ():
        yield from _shared(rendered, option, given.get(option.flag), source)


def warnings(rendered: RenderedTemplate, source: Source) -> Iterator[Problem]:
    """Report where a valid template contradicts `config` or `routing`.

    Args:
        rendered: without `errors`.
        source: the file.
    """
    given = _options(rendered)
    for option in (*_DIFFERENT_PER_RANK, *_SAME_ON_HOST):
        yield from _compare(rendered, option, given.get(option.flag), source)
    several = rendered.member.dp_size_local > 1
    envs = rendered.template.envs
    variable = VISIBLE.get(str(_value(source, "device")), "")
    by_plan = bool(variable) and variable not in envs  # see ci/plan/devices.py
    if several and not by_plan and not any("VISIBLE_DEVICES}" in text for text in envs.values()):
        message = (
            "all ranks of this host would use the same devices; set "
            f"{' or '.join(VISIBLE.values())} to ${{VISIBLE_DEVICES}}"
        )
        yield source.at_key(("templates", rendered.index, "envs"), message)


def _value(source: Source, key: str) -> object:
    return source.value.get(key) if isinstance(source.value, dict) else None


def _options(rendered: RenderedTemplate) -> dict[str, GivenOption]:
    """Return each option with its value; of several, the last."""
    options: dict[str, GivenOption] = {}
    for position, word in enumerate(rendered.template.server_cmd_template):
        flag, equals, inline = word.partition("=")
        if not re.fullmatch(r"--?[A-Za-z][\w-]*", flag):
            continue
        flag = long_name(flag)
        if equals:
            options[flag] = GivenOption(inline, (*rendered.path, position))
        elif position + 1 < len(rendered.template.server_cmd_template):
            options[flag] = GivenOption(
                rendered.template.server_cmd_template[position + 1], (*rendered.path, position + 1)
            )
    return options


def _shared(
    rendered: RenderedTemplate,
    option: ExpectedOption,
    given: GivenOption | None,
    source: Source,
) -> Iterator[Problem]:
    """Report an option that has the same value for all ranks of a host."""
    count, add = rendered.member.dp_size_local, f"${{{option.variable}}}"
    if given is None and (misspelt := _misspelt(option.flag, rendered)):
        path, word = misspelt
        if not apart(word):  # else it is reported
            yield source.at_value(path, f"vLLM has no {word}; did you mean {option.flag}?")
    elif given is None:
        all_on = f"all {count} ranks of this host would listen on {option.default}; "
        message = f"{all_on if option.default else ''}{option.flag} is missing; add it with {add}"
        yield source.at_key(rendered.path, message)
    elif rendered.text(given.value, 0) == rendered.text(given.value, 1):
        message = f"all {count} ranks of this host would get {option.flag} {given.value}"
        yield source.at_value(given.path, f"{message}; write {add}")


def _misspelt(flag: str, rendered: RenderedTemplate) -> tuple[KeyPath, str] | None:
    """Find a misspelt option in a template that lacks it: its key path, and the word."""
    for position, word in enumerate(rendered.template.server_cmd_template):
        close = difflib.get_close_matches(flag, [word.partition("=")[0]], cutoff=_SLIP)
        same = sorted(word) == sorted(flag) or "--" + word.lstrip("- ") == flag
        if (word.startswith("--") and (close or same)) or same:
            return (*rendered.path, position), word
    return None


def _compare(
    rendered: RenderedTemplate,
    option: ExpectedOption,
    given: GivenOption | None,
    source: Source,
) -> Iterator[Problem]:
    """Compare one option of the first rank with `config`."""
    expected = rank_variables(rendered.member, rendered.index, 0)[option.variable]
    if option.flag in _GROUP_OPTIONS and rendered.member.dp_size == 1:
        return
    if given is None:
        if expected != option.default and not _misspelt(option.flag, rendered):
            message = f"{option.flag} is missing, but config has {expected}; add it with"
            yield source.at_key(rendered.path, f"{message} ${{{option.variable}}}")
        return
    value = rendered.text(given.value, 0)
    if re.search(r"\$\{\w+$|\$\$|^%", value):
        return  # a reference that is written wrong, which `inv check` reports
    if value != expected and ("$" not in value or "$" in expected):
        message = f"{option.flag} is {value}, but config has {expected}; the value here is used"
        yield source.at_value(given.path, message)


def _json_error(text: str) -> str | None:
    """Say what is wrong with JSON; None if nothing is."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"{error}; {correction(error)[0]}"
    except RecursionError:
        return "nested too deep; write it flatter"
    return None
