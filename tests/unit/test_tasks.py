"""The tasks' flags: each is taught, and means the same wherever it is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
# A lab, a dataset or a LeaderWorkerSet has a name; locks are of all kinds of machine.
OF_ITS_OWN = {"name", ("versions.lock", "device")}


@pytest.fixture(scope="module")
def contexts():
    """Every task as Invoke's parser sees it."""
    spec = importlib.util.spec_from_file_location("tasks", PROJECT / "tasks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {one.name: one for one in module.namespace.to_contexts()}


def flags_of(context):
    return {next(name for name in one.names if name[1:]): one for one in context.args.values()}


def test_every_flag_says_what_it_does(contexts):
    silent = [
        f"{task} --{name}"
        for task, context in contexts.items()
        for name, argument in flags_of(context).items()
        if not argument.help
    ]
    assert len(contexts) == 20
    assert silent == []


def test_a_flag_of_two_tasks_has_one_kind_one_default_and_one_help(contexts):
    first = {}
    for task, context in contexts.items():
        for name, one in flags_of(context).items():
            if not OF_ITS_OWN & {name, (task, name)}:
                meant = (one.kind, one.default, one.help)
                assert first.setdefault(name, meant) == meant, f"{task} --{name}"


def imported_by(module):
    """Which packages that take long to import a module brings with it."""
    slow = "{'pydantic', 'yaml', 'rich', 'paramiko'}"
    code = f"import sys, {module}; print(*{slow} & {{*sys.modules}})"
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True)
    return set(ended.stdout.split())


def test_listing_the_tasks_imports_nothing_that_invoke_does_not():
    assert imported_by("tasks") == imported_by("invoke")
