"""A runner of AISBench that runs its tasks in one process, with stand-ins for its modules."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from ci.tool_side import one_process


class Runner:
    """The part of AISBench's BaseRunner that is used."""

    def __init__(self, task, debug):
        self.task_cfg, self.debug = task, debug


class Tasks:
    """Builds tasks that note that they ran, or raise."""

    def __init__(self):
        self.ran = []

    def build(self, given):
        def run(state):
            state.update_task_state({"status": "start"})
            if given["cfg"] == "broken":
                raise KeyError("no file")
            self.ran.append(f"{given['type']} {given['cfg']}")

        return SimpleNamespace(run=run)


@pytest.fixture
def aisbench(monkeypatch):
    tasks = Tasks()
    contents = {
        "registry": {"TASKS": tasks},
        "runners.base": {"BaseRunner": Runner},
        "utils.core.abbr": {"task_abbr_from_cfg": str.upper},
    }
    for name, values in contents.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, f"ais_bench.benchmark.{name}", module)
    return tasks


def test_a_set_that_fails_does_not_stop_the_others(aisbench, capsys):
    runner = one_process.OneProcess({"type": "Score"}, debug=True, max_num_workers=1)
    assert runner.launch(["a", "broken", "b"]) == [("A", 0), ("BROKEN", 1), ("B", 0)]
    assert aisbench.ran == ["Score a", "Score b"]
    assert "KeyError: 'no file'" in capsys.readouterr().err


def test_it_has_nothing_else():
    with pytest.raises(AttributeError):
        _ = one_process.Another
