"""Refuse Invoke's own flags where they would mislead: tasks do not run through Invoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_EFFECT = "Invoke's own flag, which has no effect here"
# Invoke's name of a flag → why it is refused, and what to type instead.
_REFUSED = {
    "config": "",
    "dry": "Invoke's own flag would not keep Lamplighter from acting; `inv nightly`, `inv up` and "
    "`inv down` have --dry-run",
    "echo": _NO_EFFECT,
    "pty": _NO_EFFECT,
    "hide": _NO_EFFECT,
    "warn-only": _NO_EFFECT,
    "command-timeout": f"{_NO_EFFECT}; set ready_timeout_s in the case, deadline_s in a benchmark",
    "prompt-for-sudo-password": f"{_NO_EFFECT}; Lamplighter never uses sudo",
}


def refused_flags(given: Mapping[str, Any], task: str, flags: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each flag of Invoke that was given and means nothing here.

    Args:
        given: Invoke's name of a core flag → its argument, as parsed.
        task: the first task of the command line; empty if there is none.
        flags: the flags of that task, with their dashes.
    """
    for name, reason in _REFUSED.items():
        if name in given and given[name].got_value:
            yield f"--{name}: {reason or _config(task, flags)}"


def _config(task: str, flags: Mapping[str, Any]) -> str:
    if "--config" in flags:
        return f"write it after the task: `inv {task} --config FILE`"
    return f"`inv {task}` has no such flag" if task else "write it after a task that has it"
