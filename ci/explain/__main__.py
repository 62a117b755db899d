"""Explain log files: `python -m ci.explain LOG…`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ci.errors import LamplighterError
from ci.explain.classify import classify
from ci.explain.reading import SEARCH_S, read


def main(paths: list[str]) -> int:
    """Print the class, the side and the cause of each log; return the exit code."""
    for path in paths:
        try:
            with Path(path).open("rb") as log:
                reason = classify(read(log, time.monotonic() + SEARCH_S), None, None)
        except (LamplighterError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 2
        sys.stdout.write(f"{path}: {reason.kind} ({reason.side or 'unknown'}): {reason.message}\n")
        sys.stdout.write(f"    {reason.line or 'no line of it is known'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
