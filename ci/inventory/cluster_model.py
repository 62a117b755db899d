"""Define the keys and types of a cluster file. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ci.case.env_script import EnvScripts
from ci.case.model import Device
from ci.documents import address
from ci.documents.strict import Strict
from ci.inventory.slurm_model import SlurmEntry
from ci.paths import VARIABLE_IN_WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable


def _checked(check: Callable[[str], str | None]) -> AfterValidator:
    """Make a validator that refuses text for which `check` returns a complaint."""

    def validate(value: str) -> str:
        if complaint := check(value):
            message = f"{value!r} {complaint}"
            raise PydanticCustomError("invalid", "{message}", {"message": message})
        return value

    return AfterValidator(validate)


def _shaped(pattern: str, complaint: str) -> AfterValidator:
    return _checked(lambda value: None if re.fullmatch(pattern, value) else complaint)


def _host_complaint(value: str) -> str | None:
    try:
        written = address.parse(value)
    except ValueError as error:
        return str(error)
    extra = written.user is not None or written.port is not None
    return "is more than the host; move the rest to 'user' or 'port'" if extra else None


def _jump_complaint(value: str) -> str | None:
    try:
        address.parse(value)
    except ValueError as error:
        return f"{error}; write [user@]host[:port], or the name of a host of this file"
    return None


def _folder_complaint(value: str) -> str | None:
    whole = value == "~" or value.startswith(("~/", "/"))
    if "$" in value:
        return VARIABLE_IN_WORKSPACE
    return None if whole else "is not an absolute path; begin it with / or ~/"


def _key_file_complaint(value: str) -> str | None:
    if "$" in value:
        return "has a '$', but variables are not expanded here; write it out"
    return "is not a file; name one, or leave the key out" if value.lower() == "none" else None


def _program_complaint(value: str) -> str | None:
    expanded = value.startswith("~") or "$" in value
    return "is not expanded on the host; write the whole path" if expanded else None


def _length_complaint(value: str) -> str | None:
    limit = address.MAX_HOST_CHARS
    long = len(value.encode()) > limit
    return f"is too long; a host name has at most {limit} characters" if long else None


# A host's name becomes a folder in the run's record.
Name = Annotated[
    str,
    _shaped(r"[A-Za-z0-9_][\w.:-]*", "cannot name a host"),
    _checked(_length_complaint),
]
Word = Annotated[str, _shaped(r"[\w.-]+", "is not a label; use letters, digits, '-', '_', '.'")]
File = Annotated[str, Field(min_length=1)]
KeyFile = Annotated[File, _checked(_key_file_complaint)]


class AcceleratorEntry(Strict):
    """`accelerator`: the accelerators that a host should have."""

    kind: Device = Field(description="it is cpu, cuda or ascend")
    count: int = Field(ge=0, description="it is how many of them a host has")


class Settings(Strict):
    """`defaults`: settings of every host that has none of its own."""

    user: Annotated[str, _shaped(r"[A-Za-z0-9_][\w.-]*\$?", "is not a user name")] | None = None
    port: int | None = Field(default=None, gt=0, le=address.MAX_PORT)
    identity: KeyFile | None = None
    jump: Annotated[str, _checked(_jump_complaint)] | None = None
    known_hosts: KeyFile | None = None
    workspace: Annotated[str, _checked(_folder_complaint)] | None = None
    interface: (
        Annotated[str, _shaped(r"[^\s/]{1,15}", "is not the name of a network interface")] | None
    ) = None
    accelerator: AcceleratorEntry | None = None
    labels: dict[Word, str] | None = None
    python: Annotated[File, _checked(_program_complaint)] | None = None
    env_script: EnvScripts | None = None


class HostEntry(Settings):
    """One host of `hosts`."""

    address: Annotated[str, _checked(_host_complaint)] | None = None


class Cluster(Strict):
    """A cluster file; its keys are explained in configs/clusters/example.yaml."""

    defaults: Settings | None = None
    hosts: dict[Name, HostEntry | None] = Field(
        min_length=1, description="it maps each host's name to its settings"
    )


class SlurmCluster(Strict):
    """A cluster file with `slurm`; `hosts` has settings of single nodes, if any."""

    slurm: SlurmEntry
    defaults: Settings | None = None
    hosts: dict[Name, HostEntry | None] | None = Field(
        default=None, description="it maps each host's name to its settings"
    )


SECTIONS: dict[str, type[Strict]] = {
    "": SlurmCluster,
    "slurm": SlurmEntry,
    "defaults": Settings,
    "hosts": HostEntry,
    "defaults.accelerator": AcceleratorEntry,
    "hosts.*.accelerator": AcceleratorEntry,
}
