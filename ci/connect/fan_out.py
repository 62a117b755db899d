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


AT_ONCE = 32
MAX_ERRORS_SHOWN = 3
LOOK_S = 0.5


def fan_out(
    names: Iterable[str],
    work: Callable[[str], T],
    at_once: int = AT_ONCE,
) -> dict[str, T | LamplighterError]:
    """Do the same for every host.

    Args:
        names: of the hosts.
        work: what is done for one; bounded in time by itself.
        at_once: how many are worked on at the same time.

    Returns:
        What came of it for each, in the order of `names`; an error of ours as a value. Any other
        exception is a defect and is raised.
    """

    def outcome(name: str) -> T | LamplighterError:
        try:
            return work(name)
        except LamplighterError as error:
            return error

    listed = list(names)
    if len(listed) == 1:
        return {listed[0]: outcome(listed[0])}
    pool = ThreadPoolExecutor(max_workers=max(1, min(at_once, len(listed))))
    try:
        futures = {name: pool.submit(outcome, name) for name in listed}
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
    """Give every value, or raise what went wrong: one error as it is, several together.

    Raises:
        LamplighterError: the only error.
        SeveralFailed: all of them.
    """
    errors = tuple(one for one in outcomes.values() if isinstance(one, LamplighterError))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SeveralFailed(errors)
    return {name: one for name, one in outcomes.items() if not isinstance(one, LamplighterError)}
