"""Do the same work for many hosts at once; a slow or dead host does not block the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from ci.errors import InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

T = TypeVar("T")


class SeveralFailed(InfrastructureError):  # noqa: N818
    """The same step failed on several hosts; `errors` has each of them, in host order."""

    def __init__(self, errors: tuple[LamplighterError, ...]) -> None:
        messages = list(dict.fromkeys(map(str, errors)))
        rest = (
            f"; and {len(messages) - MAX_ERRORS_SHOWN} more, see the journal"
            if messages[MAX_ERRORS_SHOWN:]
            else ""
        )
        super().__init__("; ".join(messages[:MAX_ERRORS_SHOWN]) + rest)
        self.errors = errors


MAX_PARALLEL = 32
MAX_ERRORS_SHOWN = 3
LOOK_S = 0.5


def fan_out(
    names: Iterable[str],
    work: Callable[[str], T],
    max_parallel: int = MAX_PARALLEL,
) -> dict[str, T | LamplighterError]:
    """Do the same work for every host.

    Args:
        names: names of the hosts.
        work: called with each name; must have its own time limit.
        max_parallel: the largest number of hosts at the same time.

    Returns:
        Name → result, in the order of `names`; a LamplighterError is a result, too. Any other
        exception is a defect and is raised.
    """

    def outcome(name: str) -> T | LamplighterError:
        try:
            return work(name)
        except LamplighterError as error:
            return error

    hosts = list(names)
    if len(hosts) == 1:
        return {hosts[0]: outcome(hosts[0])}
    pool = ThreadPoolExecutor(max_workers=max(1, min(max_parallel, len(hosts))))
    try:
        futures = {name: pool.submit(outcome, name) for name in hosts}
        outcomes = {name: _result_of(future) for name, future in futures.items()}
    except BaseException:
        # After Ctrl-C nothing waits for a slow host: its connection is closed next.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return outcomes


def _result_of(future: Future[T]) -> T:
    """Wait for a result, in steps.

    Python calls a signal's handler between two steps. A wait without a limit would never end after
    a Ctrl-C that came just before it began.
    """
    while not wait([future], LOOK_S).done:
        pass
    return future.result()


def all_of(outcomes: Mapping[str, T | LamplighterError]) -> dict[str, T]:
    """Return all values, or raise the error; several errors become one.

    Raises:
        LamplighterError: the only error.
        SeveralFailed: there are several errors.
    """
    errors = tuple(value for value in outcomes.values() if isinstance(value, LamplighterError))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralFailed(errors)
    return {
        name: value for name, value in outcomes.items() if not isinstance(value, LamplighterError)
    }
