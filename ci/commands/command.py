"""Invoke tasks from frozen dataclasses: each field is a flag, with its default and its help.

Imports Invoke and the standard library only, as listing the tasks does.
"""

from __future__ import annotations

import sys
from dataclasses import field, fields
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from invoke import Context, Exit, Task, task

from ci.commands.entry import report_errors
from ci.commands.streams import for_readers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.errors import ExitCode

Flags = TypeVar("Flags")
# No short form of a flag: `-h` is `--help` in every task, and of `-` Invoke would make `--`.
_RESERVED = {"h", "-"}


def flag(help: str, default: Any = "") -> Any:  # noqa: A002, ANN401 - as Invoke names it; any kind
    """Declare a flag: a field of a dataclass that is passed to `command`.

    Args:
        help: its text in `inv TASK --help`, which adds the default if there is one.
        default: its type is the flag's: text, integer or switch. A tuple makes a flag that may be
            repeated.
    """
    return field(default=default, metadata={"help": help})


class _Task(Task):  # type: ignore[type-arg]
    """A task of Invoke, which gives its flags the letters that are left as short forms."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        return super().arg_opts(name, default, taken_names | _RESERVED)


def command(
    flags: type[Flags],
    **settings: Any,  # noqa: ANN401 - as Invoke declares them
) -> Callable[[Callable[[Flags], ExitCode | str]], Any]:
    """Make an Invoke task from a function that takes a dataclass of flags.

    Invoke reads a task's flags from its signature, so a signature is built from the fields. The
    function returns the exit code, or a text, which is printed; then another task may follow.

    Args:
        flags: the dataclass; every field made with `flag`.
        settings: further arguments of `invoke.task`, e.g. `name`.
    """
    flag_fields: list[Any] = list(fields(cast("Any", flags)))
    repeated = [item.name for item in flag_fields if isinstance(item.default, tuple)]

    def decorate(body: Callable[[Flags], ExitCode | str]) -> Any:  # noqa: ANN401 - Invoke's Task
        def run(_: Context, **values: Any) -> None:  # noqa: ANN401 - of the fields' types
            lists = {name: tuple(values[name]) for name in repeated}
            result = body(flags(**{**values, **lists}))
            if not isinstance(result, str):
                raise Exit(code=int(result))
            sys.stdout.write(for_readers(result))

        run.__name__, run.__doc__ = body.__name__, body.__doc__
        run.__dict__["__signature__"] = _signature(flag_fields)
        # No positional arguments: with one, Invoke takes `--help` for its value.
        return task(
            klass=_Task,
            positional=[],
            iterable=repeated,
            help={item.name: _help(item) for item in flag_fields},
            **settings,
        )(report_errors(run))

    return decorate


def _help(item: Any) -> str:  # noqa: ANN401 - a dataclass's field
    """Return a flag's help text, with its default if it has one."""
    has_default = item.default and not isinstance(item.default, bool)
    text: str = item.metadata["help"]
    return f"{text}; default: {item.default}" if has_default else text


def _signature(flag_fields: list[Any]) -> Signature:
    """Build the signature that Invoke reads: the context, then each flag with its default."""
    kind = Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        # For a flag that may be repeated Invoke makes a list by itself.
        Parameter(
            item.name, kind, default=None if isinstance(item.default, tuple) else item.default
        )
        for item in flag_fields
    ]
    return Signature([Parameter("_", kind), *parameters])
