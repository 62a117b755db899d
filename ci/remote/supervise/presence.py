"""How runs on one host see each other, whatever their workspace and user.

A run binds a socket to a name in the kernel's abstract namespace, see unix(7): it is not a file,
every user may list it, and it is gone with the process that holds it.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

MOST_BYTES = 108  # of a socket's name
MARK = b"lamplighter/"


def announce(run: str, owner: str) -> Optional[socket.socket]:
    """Announce a run while the returned socket is open; None when it is announced already."""
    words = "%s/%s" % (run, "".join(owner.split()))
    announcement = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        announcement.bind((b"\0" + MARK + words.encode())[:MOST_BYTES])
    except OSError:
        announcement.close()
        return None
    return announcement


def present_runs() -> List[Dict[str, str]]:
    """List the runs that are announced on this host: `run` and `owner` of each."""
    with open("/proc/net/unix", "rb") as file:
        text = file.read()
    found: List[Dict[str, str]] = []
    for piece in text.split(b"@" + MARK)[1:]:
        words = piece.split(b"\n", 1)[0].decode("utf-8", "replace")
        run, _, owner = words.partition("/")
        found.append({"run": run, "owner": owner})
    return found
