"""What an agent needs of contextlib, json, signal, socket and threading, and not what they import.

Each of them imports enum or functools, and json imports re. Together they took 9 of the 20 ms of
CPU that the start of an agent took on each host (2 cores of an AMD EPYC, Python 3.11). So their
compiled halves are used here. All modules that an agent imports at its start, or to start a
process, import from here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import json
    import signal
    import socket
    from _thread import start_new_thread
    from contextlib import suppress
    from typing import Any, Callable, Tuple
else:
    import _signal as signal
    import _socket as socket
    from _thread import start_new_thread

    class suppress:  # noqa: N801 - as in contextlib
        """Leave a block without an error if one of these exceptions is raised in it."""

        def __init__(self, *kinds: type) -> None:
            self._kinds = kinds

        def __enter__(self) -> None:
            pass

        def __exit__(self, kind: object, error: object, trace: object) -> bool:
            return isinstance(error, self._kinds)

    class json:  # noqa: N801 - as the module
        """Reads and writes JSON as `json` does, except that errors have another message."""

        @staticmethod
        def loads(text: bytes) -> object:
            """Read a value from UTF-8; raise ValueError if it is not valid."""
            words = text.decode().strip(" \t\n\r")
            try:
                value, end = _scan(words, 0)
            except StopIteration:
                end = -1
            if end != len(words):
                raise ValueError("expected JSON, got %.40r" % words)
            return value

        @staticmethod
        def dumps(value: object) -> str:
            """Write a value in ASCII on one line."""
            return "".join(_encode(value, 0))


__all__ = ["json", "signal", "socket", "start_new_thread", "suppress"]


class _Defaults:
    """What the compiled scanner reads of its decoder; the values are those of `json.loads`."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float  # NaN and the infinities


def _refuse(value: object) -> object:
    raise TypeError("no JSON for %s" % type(value).__name__)


def _compiled() -> Tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the compiled scanner and encoder; an error if this Python has others than expected."""
    import _json  # noqa: PLC0415

    quote = _json.encode_basestring_ascii
    encode = _json.make_encoder(None, _refuse, quote, None, ": ", ", ", False, False, True)  # noqa: FBT003
    scan = _json.make_scanner(_Defaults)  # type: ignore[arg-type]
    sample = {"a": [1, -2.5, None, True, 'é"\n'], "b": {}}
    text = '{"a": [1, -2.5, null, true, "\\u00e9\\"\\n"], "b": {}}'
    if "".join(encode(sample, 0)) != text or scan(text, 0) != (sample, len(text)):
        raise ValueError("another scanner or encoder")
    return scan, encode


try:
    _scan, _encode = _compiled()
except Exception:  # noqa: BLE001 - not CPython, or a later version of it
    import json
