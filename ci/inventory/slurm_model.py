"""Define the keys and types of `slurm:` in a cluster file. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ci.documents import address
from ci.documents.duration import seconds_of
from ci.documents.strict import Strict
from ci.documents.values import invalid, shaped
from ci.errors import UserError

# Options of sbatch that have a key of their own here, or that Lamplighter itself sets.
KEYS = {
    **dict.fromkeys(("-p", "--partition"), "partition"),
    **dict.fromkeys(("-A", "--account"), "account"),
    **dict.fromkeys(("-q", "--qos"), "qos"),
    **dict.fromkeys(("-C", "--constraint"), "constraint"),
    **dict.fromkeys(("--reservation",), "reservation"),
    **dict.fromkeys(("-N", "--nodes"), "nodes"),
    **dict.fromkeys(("-w", "--nodelist"), "nodelist"),
    **dict.fromkeys(("-t", "--time"), "time"),
    **dict.fromkeys(("--deadline", "-I", "--immediate"), "wait"),
}
OWN = (
    "-J", "--job-name", "-o", "--output", "-e", "--error", "-i", "--input", "-D", "--chdir",
    "-W", "--wait", "-a", "--array", "-Q", "--quiet", "-h", "--help", "-V", "--version",
    "--comment", "--export", "--export-file", "--parsable", "--requeue", "--no-requeue",
    "--test-only", "--wrap", "--uid", "--gid",
)  # fmt: skip
MAX_CHARS = 500
MAX_TIME_S = 366 * 86400.0


def _duration(value: str) -> str:
    try:
        seconds = seconds_of(value, "")
    except UserError:
        raise invalid(f"{value!r} is not a duration; write e.g. 8h, 90m or 1h30m") from None
    if seconds > MAX_TIME_S:
        raise invalid(f"{value!r} is more than a year")
    return value


def _time(value: str) -> str:
    # Slurm counts minutes.
    minute_s = 60
    if seconds_of(value, "") < minute_s:
        raise invalid(f"{value!r}: a job of Slurm has at least one minute; write e.g. 8h")
    return value


def _login_host(value: str) -> str:
    try:
        address.parse(value)
    except ValueError as error:
        raise invalid(
            f"{value!r} {error}; write [user@]host[:port], or the name of a host of this file"
        ) from error
    return value


def _option(value: str) -> str:
    option = value.split("=", maxsplit=1)[0]
    if not re.fullmatch(r"-[A-Za-z]|--[a-z][a-z0-9-]*", option):
        raise invalid(f"{value!r} is not an option of sbatch; write it as --name=value")
    # sbatch takes every beginning of a long option's name that is not ambiguous.
    long = option.startswith("--")
    for name, key in KEYS.items():
        if option == name or (long and name.startswith(option)):
            raise invalid(f"{value!r}: write `{key}:` instead")
    if any(option == name or (long and name.startswith(option)) for name in OWN):
        raise invalid(f"{value!r}: Lamplighter sets this option itself; leave it out")
    return value


_LINE = shaped(rf"[^\x00-\x1f\x7f]{{1,{MAX_CHARS}}}", "is not one line of text")
# Slurm's own names, expressions and lists of them; each is one argument of a command.
Word = Annotated[str, shaped(rf"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{{0,{MAX_CHARS}}}",
                             "has a space, or begins with '-'")]  # fmt: skip
Duration = Annotated[str, AfterValidator(_duration)]


class SlurmEntry(Strict):
    """`slurm`: where Slurm allocates the hosts, and how they are reached."""

    partition: Word | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    reservation: Word | None = None
    nodes: int | None = Field(default=None, ge=1, le=1024)
    nodelist: Word | None = None
    time: Annotated[Duration, AfterValidator(_time)] = Field(
        description="it is how long the night may have the hosts, e.g. 8h"
    )
    wait: Duration = "1h"
    login_host: Annotated[str, AfterValidator(_login_host)] | None = None
    transport: Literal["ssh", "srun"] = "ssh"
    extra: list[Annotated[str, _LINE, AfterValidator(_option)]] | None = None

    @model_validator(mode="after")
    def _one_choice_of_nodes(self) -> SlurmEntry:
        if self.nodes is not None and self.nodelist is not None:
            raise invalid("has nodes and nodelist; give only one of them")
        return self
