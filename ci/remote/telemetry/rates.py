"""Take the differences of counters, and read each source no more often than it may cost."""

import time
from typing import Any, Callable, Dict, List, Mapping, Optional

# Of one core, for each source: on a host with thousands of processes or hundreds of cores a source
# is read less often than every second, and its differences cover more.
MOST_SHARE = 0.003


class Source:
    """A source that is read now and then.

    Attributes:
        name: of its entry in a sample, and of its gap.
        every_s: the shortest time between two reads, in seconds.
    """

    def __init__(
        self, name: str, take: Callable[[float], Optional[Dict[str, Any]]], every_s: float = 0.0
    ) -> None:
        """Begin with a source that is due.

        Args:
            name: see above.
            take: gets the seconds since its last call, and returns its entry, or None if it has
                none this time.
            every_s: see above.
        """
        self.name = name
        self.every_s = every_s
        self._take = take
        self._due_s = 0.0
        self._taken_s: Optional[float] = None

    def sample(self, now_s: float) -> Optional[Dict[str, Any]]:
        """Read the source if it is due; raise OSError, ValueError or LookupError if it is broken.

        Args:
            now_s: the monotonic clock.
        """
        if now_s < self._due_s:
            return None
        covers_s = now_s - self._taken_s if self._taken_s is not None else 0.0
        began_s = time.thread_time()
        try:
            return self._take(covers_s)
        finally:
            cost_s = time.thread_time() - began_s
            self._taken_s = now_s
            # A tenth of a second early: the next sample is not exactly a second later.
            self._due_s = now_s + max(self.every_s, cost_s / MOST_SHARE) - 0.1


class Differences:
    """The growth of counters since the last time; a counter that is new, or was reset, has none."""

    def __init__(self) -> None:
        self._before: Dict[str, int] = {}

    def of(self, counters: Mapping[str, int]) -> Dict[str, int]:
        """Return the growth of each counter; empty the first time."""
        before, self._before = self._before, dict(counters)
        return {
            name: count - before[name]
            for name, count in counters.items()
            if name in before and count >= before[name]
        }


def rounded(seconds: float) -> float:
    """Round to a millisecond, to keep samples short."""
    return round(seconds, 3)


def percents(parts: List[int], wholes: List[int]) -> List[int]:
    """Return each part as a percentage of its whole, as a whole number; 0 where that is 0."""
    return [
        min(100, round(100 * part / whole)) if whole else 0 for part, whole in zip(parts, wholes)
    ]
