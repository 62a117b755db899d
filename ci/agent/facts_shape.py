"""What a host's facts have to look like before anything here reads them. Pure.

A host may leave out, or give as null, whatever it does not know. What is here is what is read.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Number = Annotated[float, Field(strict=True, ge=0, le=1e18, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True)]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Link(_Loose):
    name: Text
    mtu: Number | None
    up: bool


class _Address(_Loose):
    interface: Text
    address: IPv4Address | IPv6Address
    prefix: Annotated[int, Field(ge=0, le=128)]


class _Device(_Loose):
    kind: Text
    index: int
    label: Text
    name: Text
    driver: Text | None
    memory_used_mb: Number | None
    memory_total_mb: Number | None
    processes: list[dict[str, Any]]


class _Run(_Loose):
    run: Text
    owner: Text | None
    user: Text | None = None
    pid: int | None = None
    proven: bool | None = None


class _Packages(_Loose):
    packages: dict[Text, Text]


class _NoWeights(_Loose):
    exists: Literal[False]


class _Weights(_Loose):
    exists: Literal[True]
    files: Number
    bytes: Number
    has_config: bool
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


class _Facts(_Loose):
    time_s: Number
    took_s: Number
    errors: dict[Text, Text] = {}
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
    sharing: _Sharing | None = None
    limits: dict[Text, Number | None] | None = None
    huge_pages: dict[Text, Number] | None = None
    interfaces: list[_Link] | None = None
    addresses: list[_Address] | None = None
    default_interface: Text | None = None
    ssh_address: Text | None = None
    runs: list[_Run] | None = None
    vllm: _Packages | None = None
    ports_taken: dict[Text, dict[str, Any] | None] | None = None
    environments: dict[Text, _Packages] | None = None
    accelerators: list[_Device] | None = None
    weights: dict[Text, _Weights | _NoWeights | None] | None = None


def nonsense_in(facts: object) -> str:
    """Say what of an answer to `facts` makes no sense; empty where all that is read does."""
    try:
        _Facts.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"
    return ""
