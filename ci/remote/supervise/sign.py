"""The sign by which runs on one host know of each other, whatever their workspace and user.

A name in the kernel's abstract namespace, see unix(7): it is no file, everybody may list it, and it
is gone with the process that holds it.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

MOST_BYTES = 108  # of a socket's name
MARK = b"lamplighter/"


def hang_out(run: str, owner: str) -> Optional[socket.socket]:
    """Hang out a run's sign while what is returned is open; None where it hangs already."""
    words = "%s/%s" % (run, "".join(owner.split()))
    sign = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sign.bind((b"\0" + MARK + words.encode())[:MOST_BYTES])
    except OSError:
        sign.close()
        return None
    return sign


def seen() -> List[Dict[str, str]]:
    """Read the signs on this host: `run` and `owner` of each."""
    with open("/proc/net/unix", "rb") as file:
        text = file.read()
    found: List[Dict[str, str]] = []
    for piece in text.split(b"@" + MARK)[1:]:
        words = piece.split(b"\n", 1)[0].decode("utf-8", "replace")
        run, _, owner = words.partition("/")
        found.append({"run": run, "owner": owner})
    return found
