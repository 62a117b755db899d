"""The shape of a host's facts, checked before anything reads them. Pure.

A host may leave out an unknown fact, or send null. Only fields that are listed here are read.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Number = Annotated[float, Field(strict=True, ge=0, le=1e18, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=0, le=2**63)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, max_length=100_000)]
# It becomes part of paths, here too.
Machine = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_]{1,32}$")]


def _address(text: str) -> str:
    ip_address(text)
    return text


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Link(_Loose):
    name: Text
    mtu: Number | None
    up: Flag


class _Address(_Loose):
    interface: Text
    address: Annotated[Text, AfterValidator(_address)]
    prefix: Annotated[Whole, Field(le=128)]


class _Holder(_Loose):
    pid: Whole | None
    command: Text | None
    user: Text | None
    run: Text | None


class _Device(_Loose):
    kind: Text
    index: Whole
    label: Text
    name: Text
    driver: Text | None
    memory_used_mb: Number | None
    memory_total_mb: Number | None
    processes: list[_Holder]
    health: Text = "OK"


class _Run(_Loose):
    run: Text
    owner: Text | None
    user: Text | None = None
    pid: int | None = None
    proven: bool | None = None


class _Packages(_Loose):
    packages: dict[Text, Text]
    fingerprint: Text | None = None


class _Located(_Loose):
    folder: Text | None = None
    hub: Literal["", "huggingface", "modelscope"] = ""
    revision: Text | None = None
    others: list[Text] = []
    cache: Text = ""
    shared: Text = ""
    offline: Flag = False


class _NoWeights(_Located):
    exists: Literal[False]


class _Folder(_Located):
    """A model that was only located."""

    exists: Literal[True]
    folder: Text


class _Weights(_Located):
    exists: Literal[True]
    files: Number
    bytes: Number
    has_config: Flag
    has_weights: Flag = True
    missing: list[Text]
    damaged: list[Text] = []
    unreadable: list[Text] = []
    fingerprint: Text


class _Place(_Loose):
    purpose: Text
    path: Text
    exists: bool
    above: Text
    error: Text
    noexec: bool
    files: Number | None
    free_bytes: Number | None


class _Sharing(_Loose):
    identity: Text | None
    hosts: list[Text]


class Facts(_Loose):
    """The answer to `facts`."""

    time_s: Number
    took_s: Number
    errors: dict[Text, Text] = {}
    hostname: Text | None = None
    kernel: Text | None = None
    machine: Machine | None = None
    cpu: Text | None = None
    user: Text | None = None
    cann: Text | None = None
    firmware: Text | None = None
    boot_id: Text | None = None
    uptime_s: Number | None = None
    home: Text | None = None
    python: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})+$")] | None = None
    pythons: dict[Text, Text] | None = None
    cores: Number | None = None
    memory_bytes: Number | None = None
    memory_free_bytes: Number | None = None
    disk_free_bytes: Number | None = None
    disk_total_bytes: Number | None = None
    shm_free_bytes: Number | None = None
    shm_total_bytes: Number | None = None
    name: Text | None = None
    places: list[_Place] | None = None
    scripts: dict[Text, Text] | None = None
    sharing: _Sharing | None = None
    limits: dict[Text, Number | None] | None = None
    huge_pages: dict[Text, Number] | None = None
    shared_files: dict[Text, Number] | None = None
    interfaces: list[_Link] | None = None
    addresses: list[_Address] | None = None
    default_interface: Text | None = None
    ssh_address: Text | None = None
    runs: list[_Run] | None = None
    vllm: _Packages | None = None
    ports_taken: dict[Text, _Holder | None] | None = None
    environments: dict[Text, _Packages] | None = None
    accelerators: list[_Device] | None = None
    weights: dict[Text, _Weights | _NoWeights | _Folder | None] | None = None
