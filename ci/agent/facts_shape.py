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


class _NoWeights(_Loose):
    exists: Literal[False]


class _Weights(_Loose):
    exists: Literal[True]
    files: Number
    bytes: Number
    has_config: Flag
    missing: list[Text]
    fingerprint: Text


class _Place(_Loose):
    purpose: Text
    path: Text
    exists: bool
    above: Text
    error: Text
    noexec: bool
    files: Number | None


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
    machine: Text | None = None
    cpu: Text | None = None
    user: Text | None = None
    cann: Text | None = None
    boot_id: Text | None = None
    uptime_s: Number | None = None
    home: Text | None = None
    python: Annotated[str, Field(pattern=r"^\d{1,9}(\.\d{1,9})+$")] | None = None
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
    weights: dict[Text, _Weights | _NoWeights | None] | None = None
