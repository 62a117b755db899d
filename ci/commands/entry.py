"""What surrounds every task: words that Invoke cannot parse, errors, lost output → exit codes.

Imports Invoke and the standard library only, as listing the tasks does.
"""

from __future__ import annotations

import copy
import errno
import functools
import io
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from invoke import Exit, ParseError
from invoke.main import program
from invoke.parser import Parser

from ci.errors import ExitCode, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from invoke import Collection
    from invoke.parser.context import ParserContext

# What a shell reports of a program that SIGPIPE has ended: the reader of its output is gone.
READER_GONE = 128 + signal.SIGPIPE
# What the machine lacks, wherever it is met: no fault of ours, and nothing is known of the model.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
# What is wrong with a path that was given, or with who may use it.
_PATHS = {
    *(errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY),
    *(errno.ELOOP, errno.ENAMETOOLONG),
}


def require_parsable(tasks: Collection) -> None:
    """End with exit code 2 where Invoke cannot parse the command line.

    Invoke itself ends with 1, which is a failed night here, and has no setting for that. So the
    words are parsed once more, with its own parser, when it has loaded the tasks. Does nothing
    where something other than `inv` imports them.

    Args:
        tasks: every task of the project.
    """
    if not hasattr(program, "core"):
        return
    # `inv --list | head -1` ends quietly, as any Unix program; a task decides for itself.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    words = program.core.unparsed
    # Of a copy: making them takes each flag's help out of the task, and `--help` shows none then.
    contexts = copy.deepcopy(tasks).to_contexts()
    parser = Parser(contexts, program.initial_context)
    named = next((word for word in words if word in parser.contexts), "")
    try:
        parsed = parser.parse_argv(words)
    except ParseError as error:
        _refuse(str(error), named)
    except ValueError as error:
        _refuse(f"expected a whole number, got {str(error).rpartition(': ')[2]}", named)
    for flag in _empty_flags(parsed):
        _refuse(f"{flag} has an empty value; give one, or leave the flag out", named)
    _require_known(program.args.help.value, parser.contexts, "task")
    _require_known(program.args.list.value, tasks.collections, "group of tasks")


def report_errors(body: Callable[..., Any]) -> Callable[..., Any]:
    """End a task with a message and our exit code instead of a traceback.

    An error that nobody foresaw is a fault of ours: unknown, never a failed night.
    """

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever the task takes
        _prepare_streams()
        if signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL:
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        ended = _end_of(lambda: body(*args, **kwargs))
        lost = _flush(sys.stdout)
        if lost and not isinstance(lost, BrokenPipeError) and not (ended and ended.code):
            ended = _machine(lost)
        if ended:
            _leave(ended)

    return run


def _end_of(call: Callable[[], Any]) -> Exit | None:
    """Run a task; returns what it ends with, None where another task may follow."""
    from ci.record.text import clean  # noqa: PLC0415

    try:
        call()
    except Exit as ended:
        return ended
    except LamplighterError as error:
        return Exit(clean(str(error)), code=int(error.exit_code))
    except KeyboardInterrupt:
        return Exit("interrupted", code=int(ExitCode.INTERRUPTED))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not a failed night
        return _unforeseen(error)
    return None


def _unforeseen(error: Exception) -> Exit:
    from ci.record.text import clean  # noqa: PLC0415

    if isinstance(error, BrokenPipeError) and _reader_gone():
        return Exit(code=READER_GONE)
    if isinstance(error, OSError) and error.errno in _MACHINE:
        return _machine(error)
    if isinstance(error, OSError) and error.errno in _PATHS and error.filename is not None:
        text = f"{clean(str(error.filename))}: {error.strerror}; check the path and who may use it"
        return Exit(text, code=int(ExitCode.USER))
    with suppress(OSError):
        traceback.print_exception(error)
    return Exit(
        f"Lamplighter itself failed: {type(error).__name__}: {clean(str(error))}\nThis is a fault "
        "of Lamplighter, not of your case or your arguments. Please report it, with the command "
        "line and the traceback above",
        code=int(ExitCode.UNKNOWN),
    )


def _machine(error: OSError) -> Exit:
    what = f"{error.filename}: " if error.filename else "cannot write, to a file or the output: "
    text = f"{what}{error.strerror}; correct that on this machine and start again"
    return Exit(text, code=int(ExitCode.UNKNOWN))


def _reader_gone() -> bool:
    """Whether nobody reads our output any more, as after `| head -1`."""
    ends = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            ends.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in ends.poll(0))


def _leave(ended: Exit) -> NoReturn:
    """Print the message here: Invoke would end with 1 where nobody reads it any more."""
    if ended.message:
        with suppress(OSError):
            print(ended.message, file=sys.stderr)
    _flush(sys.stderr)
    raise Exit(code=ended.code)


def _flush(stream: TextIO) -> OSError | None:
    """Write what is left; returns why that fails, and then sends it nowhere, once for all."""
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None


def _prepare_streams() -> None:
    """Stand in for streams that were closed (`>&-`), before a file or socket gets their number.

    Text that the terminal's encoding cannot hold is written as an escape, not refused.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _empty_flags(parsed: Sequence[ParserContext]) -> Iterator[str]:
    """Flags that were given without text, as `--runs "$UNSET"` is; of tasks, not of Invoke."""
    for context in parsed:
        for argument in context.args.values() if context.name else ():
            value = argument.value
            if argument.got_value and (value == "" or (isinstance(value, list) and "" in value)):
                yield f"--{argument.name.replace('_', '-')}"


def _require_known(asked: object, known: object, what: str) -> None:
    if isinstance(asked, str) and asked not in known:  # type: ignore[operator]
        _refuse(f"{asked!r} is not a {what}", "")


def _refuse(message: str, task: str) -> NoReturn:
    flags = f"`inv {task} --help`" if task else "`inv TASK --help`"
    text = f"{message}\n`inv --list` shows the tasks, {flags} the flags"
    _prepare_streams()
    _leave(Exit(text, code=int(ExitCode.USER)))
