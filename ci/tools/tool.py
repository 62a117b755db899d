"""Define what the module of an evaluation tool has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ci.tools.model import Command, Job, Result
    from ci.tools.output import Output


class Tool(Protocol):
    """The interface of a tool's module in this package."""

    ENVIRONMENT: str
    KINDS: frozenset[str]
    OUTPUTS: tuple[str, ...]

    def command(self, job: Job) -> Command:
        """Build the command line. Pure."""

    def parse(self, job: Job, output: Output) -> Result:
        """Parse the output. Pure; never raises for bad output, but reports problems."""
