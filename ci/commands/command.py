"""A command's flags as a frozen dataclass: each field is a flag, with its default and its help.

Imports Invoke and the standard library only, as listing the tasks does.
"""

from __future__ import annotations

import sys
from dataclasses import field, fields
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from invoke import Context, Exit, task

from ci.commands.entry import report_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.errors import ExitCode

Flags = TypeVar("Flags")


def flag(help: str, default: Any = "") -> Any:  # noqa: A002, ANN401 - as Invoke names it; any kind
    """Declare a flag: a field of a dataclass that `command` is given.

    Args:
        help: what `inv TASK --help` says of it, and before the default, where that is a value.
        default: its kind is the flag's: text, a whole number, or a switch. A tuple makes a flag
            that may be repeated.
    """
    return field(default=default, metadata={"help": help})


def command(
    flags: type[Flags],
    **settings: Any,  # noqa: ANN401 - Invoke's own
) -> Callable[[Callable[[Flags], ExitCode | str]], Any]:
    """Make a task of Invoke's from a function that takes a dataclass of flags.

    Invoke reads a task's flags from its signature, so one is made of the dataclass's fields. What
    the function returns becomes the exit code; text is printed, and another task may follow.

    Args:
        flags: the dataclass, every field made with `flag`.
        settings: further ones of `invoke.task`, e.g. `name`.
    """
    given: list[Any] = list(fields(cast("Any", flags)))
    repeated = [one.name for one in given if isinstance(one.default, tuple)]

    def decorate(body: Callable[[Flags], ExitCode | str]) -> Any:  # noqa: ANN401 - Invoke's Task
        def run(_: Context, **values: Any) -> None:  # noqa: ANN401 - as the fields have it
            lists = {name: tuple(values[name]) for name in repeated}
            ended = body(flags(**{**values, **lists}))
            if not isinstance(ended, str):
                raise Exit(code=int(ended))
            sys.stdout.write(ended)

        run.__name__, run.__doc__ = body.__name__, body.__doc__
        run.__dict__["__signature__"] = _signature(given)
        # No positional arguments: with one, Invoke takes `--help` for its value.
        return task(
            positional=[],
            iterable=repeated,
            help={one.name: _help(one) for one in given},
            **settings,
        )(report_errors(run))

    return decorate


def _help(one: Any) -> str:  # noqa: ANN401 - a dataclass's field
    """Say what a flag does, and its default where that is a value."""
    has_value = one.default and not isinstance(one.default, bool)
    text: str = one.metadata["help"]
    return f"{text}; default: {one.default}" if has_value else text


def _signature(given: list[Any]) -> Signature:
    """Make what Invoke reads: the context, then each flag with its default."""
    kind = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        # Invoke makes a list of its own where a flag may be repeated.
        Parameter(one.name, kind, default=None if isinstance(one.default, tuple) else one.default)
        for one in given
    ]
    return Signature([Parameter("_", kind), *parameters])
