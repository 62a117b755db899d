"""The linter's values: diagnostics, rules, and the cases that rules examine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ci.case.model import Case
    from ci.errors import Problem

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Diagnostic:
    """A problem in a case file, its severity, and the name of the rule that found it."""

    severity: Severity
    problem: Problem
    rule: str


@dataclass(frozen=True)
class Server:
    """A server's command line and environment.

    Attributes:
        name: the server's name in the plan.
        key: its key path in the file.
        command_key: key path of its command line.
        host: index of its host.
        argv: its command line.
        env: its environment.
        headless: whether it answers no requests.
        planned: whether planning succeeded, so that variables are expanded in `argv` and `env`.
        role: mixed, prefill, decode or encode.
        env_keys: variable → its key path in the file; without those that the file lacks.
        split: the flags of `argv` that a space splits in the file: their first part, and the whole.
    """

    name: str
    key: str
    command_key: str
    host: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    headless: bool
    planned: bool
    role: str = "mixed"
    env_keys: Mapping[str, str] = field(default_factory=dict)
    split: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Subject:
    """A case and its servers, which the rules examine.

    Attributes:
        case: the case as read.
        servers: its servers, in the order of the file.
        section: prefix of its key paths if the file has several cases: `test_cases[0].`.
    """

    case: Case
    servers: tuple[Server, ...]
    section: str = ""


@dataclass(frozen=True)
class Remark:
    """A rule's message about a case.

    Attributes:
        key: key path of the value with the problem; if the file lacks that key, its nearest
            parent is shown.
        message: what is wrong and what to do.
        near: a word in the value, such as a flag, to point at.
        severity: instead of the rule's.
        then: a word after `near`, such as its value, to point at if it is on a later line.
        into: of JSON after `near`, the number of characters before the place, without spaces.
    """

    key: str
    message: str
    near: str = ""
    severity: Severity | None = None
    then: str = ""
    into: int = -1


@dataclass(frozen=True)
class Rule:
    """A named rule; `examine` yields one remark per problem.

    Attributes:
        derived: whether errors in command lines cause its remarks, which are then left out.
    """

    name: str
    severity: Severity
    examine: Callable[[Subject], Iterator[Remark]]
    derived: bool = False
