"""The light server after a while, or a network error on some hosts: nights that fail and recover.

usage: unsteady_server.py PORT MANNER

$START_S: seconds until it starts. $FAILS_ON: names of hosts on which it ends with the error that
a server logs if another host cannot be reached.
"""

from __future__ import annotations

import os
import platform
import runpy
import sys
import threading
from pathlib import Path

LIGHT = Path(__file__).resolve().parents[1] / "light_server.py"


def main() -> None:
    if platform.node() in os.environ.get("FAILS_ON", "").split(","):
        print("OSError: [Errno 113] No route to host", flush=True)
        sys.exit(1)
    threading.Event().wait(float(os.environ.get("START_S", "0")))
    runpy.run_path(str(LIGHT), run_name="__main__")


if __name__ == "__main__":
    main()
