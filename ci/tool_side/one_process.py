"""Score all sets of an AISBench run in its own process, instead of a new process for each set.

A process takes seconds to import what it needs, and MMLU has 57 sets. The configuration of a run
names the runner of this module. Standard library only.
"""

from __future__ import annotations

import traceback
from importlib import import_module
from typing import Any


class _State:
    """Takes the place of AISBench's progress, which is that of a process."""

    def update_task_state(self, state: dict[str, Any]) -> None:
        """Show nothing."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class of AISBench
    """Return the runner, whose tasks run one after another in this process."""
    if name != "OneProcess":
        raise AttributeError(name)
    base = import_module("ais_bench.benchmark.runners.base").BaseRunner
    tasks_of = import_module("ais_bench.benchmark.registry").TASKS
    named = import_module("ais_bench.benchmark.utils.core.abbr").task_abbr_from_cfg

    def begin(self: Any, task: Any, debug: bool = False, **_: object) -> None:  # noqa: ANN401, FBT001, FBT002 - as AISBench calls it
        base.__init__(self, task=task, debug=debug)

    def run(self: Any, task: Any) -> int:  # noqa: ANN401 - as above
        try:
            tasks_of.build({"cfg": task, "type": self.task_cfg["type"]}).run(_State())
        except Exception:  # noqa: BLE001 - the other sets are scored, as with processes
            traceback.print_exc()
            return 1
        return 0

    def launch(self: Any, tasks: list[Any]) -> list[tuple[str, int]]:  # noqa: ANN401 - as above
        return [(named(task), run(self, task)) for task in tasks]

    return type(name, (base,), {"__init__": begin, "launch": launch})
