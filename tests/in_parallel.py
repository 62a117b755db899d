"""Which tests parallel workers take, in what order, and which of them one after another."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling


def in_turn(items: list[pytest.Item]) -> list[pytest.Item]:
    """Begin with what takes long, tools that compute and faults that wait in turn."""
    tools = [item for item in items if item.path.name == "test_scoring.py"]
    faults = [item for item in items if item.path.parent.name == "faults"]
    first = [item for pair in zip_longest(tools, faults) for item in pair if item is not None]
    begun = set(first)
    return [*first, *(item for item in items if item not in begun)]


def group_of(nodeid: str) -> str:
    """Name the tests that one worker takes one after another.

    Nights with real vLLM on this machine share its one workspace, which one run holds at a time; a
    lab's hosts have their own. Two such labs at once would fill 24 GiB of memory.
    """
    path = nodeid.partition("::")[0]
    if path in {"tests/faults/test_real_vllm.py", "tests/e2e/test_two_hosts.py"}:
        return "real vLLM on lab hosts"
    return "real vLLM on this machine" if path.startswith("tests/e2e/") else nodeid


# Not xdist's own groups (`--dist loadgroup`): version 3.8 of it loses them with pytest 9.2.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Give each worker one group at a time; called by pytest-xdist."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - most runs are not parallel

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Groups(config, log)
