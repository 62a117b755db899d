"""JSON by the compiled half of `json` alone.

The other half imports `re`, which takes an agent as long as the start of Python before it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _AsJson:
    """What the compiled scanner asks its context for; the values are those of `json.loads`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo = {}  # type: ignore[var-annotated]  # noqa: RUF012


def _compiled() -> tuple[Any, Any]:
    """Give the compiled scanner and encoder, where this Python has those that are known here."""
    import _json  # noqa: PLC0415

    half: Any = _json
    quote = half.encode_basestring_ascii
    encode = half.make_encoder(None, _refuse, quote, None, ": ", ", ", False, False, True)  # noqa: FBT003
    scan = half.make_scanner(_AsJson)
    seen = {"a": [1, -2.5, None, True, 'é"\n'], "b": {}}
    if scan("".join(encode(seen, 0)), 0)[0] != seen:
        raise ValueError("another kind of scanner")
    return scan, encode


def _refuse(value: object) -> object:
    raise TypeError("no JSON for %s" % type(value).__name__)


try:
    _scan, _encode = _compiled()
except Exception:  # noqa: BLE001 - `json` itself can do both everywhere
    _scan = _encode = None


def loads(text: bytes) -> Any:  # noqa: ANN401
    """Read JSON; raises ValueError."""
    try:
        return _scan(text.decode().strip(), 0)[0]
    except Exception:  # noqa: BLE001 - it has no words for what is wrong; the other half has
        import json  # noqa: PLC0415

        return json.loads(text)


def dumps(value: object) -> bytes:
    """Write JSON, in ASCII and on one line."""
    if _encode is not None:
        return "".join(_encode(value, 0)).encode()
    import json  # noqa: PLC0415

    return json.dumps(value).encode()
