"""Exit codes of every task: bad command lines, errors, and output that cannot be written.

Imports Invoke and the standard library only, as listing the tasks does.
"""

from __future__ import annotations

import copy
import errno
import functools
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from invoke import Exit, ParseError
from invoke.main import program
from invoke.parser import Parser

from ci import crashes
from ci.commands.core_flags import refused_flags
from ci.commands.ctrl_c import ignore_ctrl_c, raised_on_ctrl_c, was_raised
from ci.commands.streams import flush, for_readers, prepare_streams, reader_has_exited
from ci.commands.wrong_words import explained, unknown_flag, without_value
from ci.errors import ExitCode, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from invoke import Collection
    from invoke.parser.context import ParserContext

# As a shell reports a program that SIGPIPE has ended: the reader of its output has exited.
READER_GONE = 128 + signal.SIGPIPE
# Task → the flag whose values may follow it without the flag, separated by commas. Invoke's own
# positional arguments may not be left out, and take `--help` for their value.
_WITHOUT_FLAG = {
    "bisect": "--config",
    "check": "--paths",
    "report": "--run",
    "show": "--run",
    "issue": "--run",
    "notify": "--run",
    "runs": "--case",
    "case.import": "--file",
    "history": "--case",
    "compare": "--pair",
    "baseline.show": "--case",
    "baseline.accept": "--run",
    "baseline.reject": "--run",
    "thresholds": "--config",
    "judge.simulate": "--paths",
    "metrics.push": "--run",
    "metrics.textfile": "--run",
    "suite.plan": "--suite",
    "suite.run": "--suite",
    "suite.report": "--run",
    "suite.status": "--run",
    "matrix": "--suite",
}
# Faults of this machine: the outcome of a night is unknown.
_MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
# A path from the operator is wrong, or its permissions are.
_PATH_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY),
    *(errno.ELOOP, errno.ENAMETOOLONG),
}


def require_parsable(tasks: Collection) -> None:
    """End with exit code 2 where Invoke cannot parse the command line.

    Invoke itself ends with 1, which means a failed night here, and has no setting for that. So the
    command line is parsed a second time with Invoke's parser, after it has loaded the tasks. Does
    nothing if something other than `inv` imports the tasks.

    Args:
        tasks: every task of the project.
    """
    if not hasattr(program, "core"):
        return
    # `inv --list | head -1` ends without a message, as any Unix program; `report_errors` resets it.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    words = program.core.unparsed
    # Copied: `to_contexts` removes each flag's help from the task, and `--help` would show none.
    contexts = copy.deepcopy(tasks).to_contexts()
    parser = Parser(contexts, program.initial_context)
    if unknown := unknown_flag(words, parser.contexts, program.initial_context):
        _refuse(unknown, next((word for word in words if word in parser.contexts), ""))
    _put_flag_before_values(words, parser.contexts)
    named = next((word for word in words if word in parser.contexts), "")
    try:
        parsed = parser.parse_argv(words)
    except ParseError as error:
        _refuse(explained(str(error), words, named, parser.contexts), named)
    except ValueError as error:
        _refuse(f"expected a whole number, got {str(error).rpartition(': ')[2]}", named)
    flags = parser.contexts[named].flags if named else {}
    # Invoke accepts its own flags before the tasks and among the flags of a task.
    for context in (program.core[0], parsed[0]):
        for message in refused_flags(context.args, named, flags):
            _refuse(message, named)
    if named and (flag := without_value(words, parser.contexts[named])):
        _refuse(f"{flag} has no value; write one after it", named)
    for flag in _empty_flags(parsed):
        _refuse(f"{flag} has an empty value; give a value, or leave the flag out", named)
    _require_known(program.args.help.value, parser.contexts, "task")
    _require_known(program.args.list.value, tasks.collections, "group of tasks")


def _put_flag_before_values(words: list[str], tasks: Mapping[str, ParserContext]) -> None:
    """Make `inv check A B` into `inv check --paths A,B`, in the words that Invoke parses next.

    The values may also follow other flags of the task.
    """
    task = words[0] if words else ""
    if task not in _WITHOUT_FLAG:
        return
    # Invoke accepts its own flags here, too. Not as one `dict`: it would lack the short forms.
    known = (tasks[task].flags, program.initial_context.flags)
    values, others, left = [], [], words[1:]
    while left and left[0] not in tasks:
        word = left.pop(0)
        flag = next((flags[word] for flags in known if word in flags), None)
        if not word.startswith("-"):
            values.append(word)
        elif flag is not None and flag.takes_value:
            others += [word, *left[:1]]
            left = left[1:]
        else:
            others.append(word)
    if values:
        words[1:] = [_WITHOUT_FLAG[task], ",".join(values), *others, *left]


def report_errors(body: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a task so that it ends with a message and an exit code instead of a traceback.

    An unexpected error is a fault of Lamplighter: the exit code is unknown, never a failed night.
    """

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever the task takes
        prepare_streams()
        if signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL:
            signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        ended = _end_of(lambda: body(*args, **kwargs))
        if crashes.threads and not (ended and ended.code):
            text = f"a thread of Lamplighter itself failed: {crashes.threads[0]}\n{crashes.ADVICE}"
            ended = Exit(text, code=int(ExitCode.UNKNOWN))
        lost = flush(sys.stdout)
        if lost and not isinstance(lost, BrokenPipeError) and not (ended and ended.code):
            ended = _machine_error(lost)
        if ended:
            _exit_with(ended)

    return run


def _end_of(call: Callable[[], Any]) -> Exit | None:
    """Run a task; return the exit, or None if another task may follow."""
    try:
        with raised_on_ctrl_c():
            call()
    except Exit as ended:
        return ended
    except LamplighterError as error:
        return Exit(_message(error), code=int(error.exit_code))
    except KeyboardInterrupt:
        return _interrupted()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - none of them means a failed night
        return _interrupted() if was_raised() else _unexpected(error)
    return None


def _interrupted() -> Exit:
    return Exit("interrupted", code=int(ExitCode.INTERRUPTED))


def _message(error: BaseException) -> str:
    """Return an error's text without terminal escapes and secrets."""
    from ci.connect.printed import clean  # noqa: PLC0415
    from ci.record.secrets import hide_in_text  # noqa: PLC0415

    return hide_in_text(clean(str(error)))


def _unexpected(error: BaseException) -> Exit:
    from ci.connect.printed import clean  # noqa: PLC0415

    if isinstance(error, BrokenPipeError) and reader_has_exited():
        return Exit(code=READER_GONE)
    if isinstance(error, OSError) and error.errno in _MACHINE_ERRORS:
        return _machine_error(error)
    if isinstance(error, OSError) and error.errno in _PATH_ERRORS and error.filename is not None:
        text = f"{clean(str(error.filename))}: {error.strerror}; check the path and permissions"
        return Exit(text, code=int(ExitCode.USER))
    with suppress(OSError):
        traceback.print_exception(error)
    return Exit(
        f"Lamplighter itself failed: {type(error).__name__}: {_message(error)}\nThis is a bug "
        "in Lamplighter, not in your case or your arguments. Please report it with the command "
        "line and the traceback above",
        code=int(ExitCode.UNKNOWN),
    )


def _machine_error(error: OSError) -> Exit:
    what = f"{error.filename}: " if error.filename else "cannot write to a file or the output: "
    text = f"{what}{error.strerror}; correct that on this machine and start again"
    return Exit(text, code=int(ExitCode.UNKNOWN))


def _exit_with(ended: Exit) -> NoReturn:
    """Print the message and exit; Invoke would exit with 1 if the reader of stderr has exited."""
    if ended.message:
        with suppress(OSError):
            print(for_readers(ended.message), file=sys.stderr)
    flush(sys.stderr)
    ignore_ctrl_c()
    raise Exit(code=ended.code)


def _empty_flags(parsed: Sequence[ParserContext]) -> Iterator[str]:
    """Yield the tasks' flags with an empty value, such as `--runs "$UNSET"`."""
    for context in parsed:
        for argument in context.args.values() if context.name else ():
            value = argument.value
            if argument.got_value and (value == "" or (isinstance(value, list) and "" in value)):
                yield f"--{argument.name.replace('_', '-')}"


def _require_known(name: object, known: object, kind: str) -> None:
    if isinstance(name, str) and name not in known:  # type: ignore[operator]
        _refuse(f"{name!r} is not a {kind}", "")


def _refuse(message: str, task: str) -> NoReturn:
    flags = f"`inv {task} --help`" if task else "`inv TASK --help`"
    text = f"{message}\n`inv --list` shows the tasks, {flags} the flags"
    prepare_streams()
    _exit_with(Exit(text, code=int(ExitCode.USER)))
