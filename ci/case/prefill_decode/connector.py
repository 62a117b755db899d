"""Choose what transfers the KV cache of a new case. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.prefill_decode.model import SIDE_PORTS
from ci.case.prefill_decode.settings import choice
from ci.documents.nearest import nearest
from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.prefill_decode.model import Pair
    from ci.case.prefill_decode.settings import Setting

_CONNECTOR = {
    "cpu": "ExampleConnector",
    "cuda": "NixlConnector",
    "ascend": "MooncakeConnectorV1",
}
_DEVICES_OF = {
    "NixlConnector": ("cuda", "cpu"),
    "ExampleConnector": ("cuda", "cpu"),
    "MooncakeConnectorV1": ("ascend",),
}


def connector_of(
    given: str, device: str, tp: Sequence[Pair], blocks: Sequence[Pair], *, many_hosts: bool
) -> str:
    """Return the connector.

    Args:
        given: its name; empty for that of the device.
        device: cpu, cuda or ascend.
        tp: tensor-parallel sizes.
        blocks: tokens of a block of the KV cache.
        many_hosts: whether each instance has a host of its own.

    Raises:
        UserError: it is unknown, or cannot transfer this cache.
    """
    name = given or _CONNECTOR[device]
    if name not in SIDE_PORTS:
        near = nearest(name, SIDE_PORTS)
        guess = f"did you mean {near}? " if near else ""
        known = ", ".join(SIDE_PORTS)
        raise UserError(
            f"--connector {name[:60]}: {guess}Known here: {known}; for another, change the file"
        )
    if device not in _DEVICES_OF[name]:
        raise UserError(
            f"--connector {name} is for --device {' or '.join(_DEVICES_OF[name])}, not {device}; "
            f"use {_CONNECTOR[device]}"
        )
    if name == "ExampleConnector":
        _require_one_cache(tp, blocks, many_hosts=many_hosts)
    return name


def _require_one_cache(tp: Sequence[Pair], blocks: Sequence[Pair], *, many_hosts: bool) -> None:
    """Refuse sizes for which ExampleConnector's files would not be the other side's."""
    advice = "use --connector NixlConnector"
    if many_hosts:
        raise UserError(f"ExampleConnector passes files on one machine: for --cluster, {advice}")
    # One file for each layer: the ranks would write over each other's.
    if any(size > 1 for pair in tp for size in (pair.prefill, pair.decode)):
        raise UserError(
            "ExampleConnector passes the cache of one rank only: --prefill-tp and --decode-tp "
            f"must be 1, or {advice}"
        )
    # The name of a file is the digest of a whole number of blocks.
    if any(pair.prefill != pair.decode for pair in blocks):
        raise UserError(
            "ExampleConnector finds only blocks of the same size: make --prefill-block-size and "
            f"--decode-block-size equal, or {advice}"
        )


def buffer_of(chosen: Setting, connector: str, device: str) -> str:
    """Return where NIXL buffers the cache; empty for other connectors.

    Args:
        chosen: the setting; a variable for another connector is left unused.
        connector: the connector.
        device: cpu, cuda or ascend.

    Raises:
        UserError: no such place, or not for this connector or device.
    """
    buffer = choice(chosen, ("cuda", "cpu"))
    if connector != "NixlConnector":
        if chosen.is_flag:
            raise UserError(f"--kv-buffer-device is for NixlConnector, not for {connector}")
        return ""
    if device == "cpu" and buffer == "cuda":
        if chosen.is_flag:
            raise UserError("--kv-buffer-device cuda: --device cpu has none; write cpu")
        return "cpu"
    return buffer
