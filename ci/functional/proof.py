"""Collect assertions: what was expected, what came, and whether they agree. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

# Longer values are cut in reports: enough to see the difference.
MAX_SHOWN_CHARS = 600


@dataclass(frozen=True)
class Assertion:
    """One assertion about a reply.

    Attributes:
        name: what was checked, e.g. `usage.total_tokens`.
        ok: whether it holds.
        expected: the expected value, or a description of it.
        got: the value in the reply.
    """

    name: str
    ok: bool
    expected: object = None
    got: object = None

    def as_json(self) -> dict[str, object]:
        """Return it for a report; a passed assertion is its name alone."""
        if self.ok:
            return {"name": self.name, "ok": True}
        return {
            "name": self.name,
            "ok": False,
            "expected": shown(self.expected),
            "got": shown(self.got),
        }

    def __str__(self) -> str:
        expected, got = shown(self.expected), shown(self.got)
        return f"{self.name}: expected {expected!r}, got {got!r}"


@dataclass
class Proof:
    """The assertions about one case, in order.

    Attributes:
        assertions: all of them.
        part: put before every name, e.g. `stream: `.
    """

    assertions: list[Assertion] = field(default_factory=list)
    part: str = ""

    def that(self, name: str, ok: object, expected: object, got: object) -> bool:
        """Add an assertion; return whether it holds."""
        holds = bool(ok)
        # Only a failed assertion keeps its values: a suite has 100,000 of them.
        values = () if holds else (expected, got)
        self.assertions.append(Assertion(self.part + name, holds, *values))
        return holds

    def equal(self, name: str, got: object, expected: object) -> bool:
        """Assert that a value and its type equal the expected ones."""
        same = got == expected and isinstance(got, bool) == isinstance(expected, bool)
        return self.that(name, same, expected, got)

    def one_of(self, name: str, got: object, allowed: Container[Any], described: object) -> bool:
        """Assert that a value is one of several."""
        try:
            ok = got in allowed
        except TypeError:
            ok = False
        return self.that(name, ok, described, got)

    def within(self, part: str) -> Proof:
        """Return a proof that adds to this one, with a prefix before every name."""
        return Proof(self.assertions, f"{self.part}{part}: ")

    @property
    def failed(self) -> list[Assertion]:
        """The assertions that do not hold."""
        return [assertion for assertion in self.assertions if not assertion.ok]


def shown(value: object) -> object:
    """Cut a long value for a report."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= MAX_SHOWN_CHARS:
        return value if isinstance(value, (str, list, dict)) else text
    return f"{text[:MAX_SHOWN_CHARS]}… ({len(text)} characters)"
