"""What a check finds, and what its rules look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ci.case.model import Case
    from ci.errors import Problem

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """A problem, how bad it is, and the rule that found it."""

    severity: Severity
    problem: Problem
    rule: str


@dataclass(frozen=True)
class Server:
    """A server's command line and environment; variables are expanded where `planned`.

    Attributes:
        where: its key path in the file.
        command: key path of its command line.
        host: its index.
    """

    name: str
    where: str
    command: str
    host: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    headless: bool
    planned: bool


@dataclass(frozen=True)
class Subject:
    """What the rules look at: a case, and its servers.

    Attributes:
        section: what stands before its keys where a file has several cases: `test_cases[0].`.
    """

    case: Case
    servers: tuple[Server, ...]
    section: str = ""


@dataclass(frozen=True)
class Remark:
    """What a rule says.

    Attributes:
        key: key path that it is about; where the file has no such key, the nearest around it.
        message: what is wrong and what to do.
        near: a word that stands below the key, such as a flag, to point at.
    """

    key: str
    message: str
    near: str = ""


@dataclass(frozen=True)
class Rule:
    """A named rule. `look` yields nothing where all is well."""

    name: str
    severity: Severity
    look: Callable[[Subject], Iterator[Remark]]
