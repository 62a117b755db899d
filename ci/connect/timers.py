"""Call a function later, unless it is cancelled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def after(delay_s: float, act: Callable[[], object]) -> threading.Timer:
    """Call `act` in `delay_s` seconds, from a thread of its own, unless the timer is cancelled."""
    timer = threading.Timer(delay_s, act)
    timer.daemon = True
    timer.start()
    return timer
