"""The tasks' flags: each has a help text, and the same meaning in every task."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from invoke.program import Program

from ci.commands.wrong_words import unknown_flag
from ci.paths import PROJECT

# A lab, a dataset or a LeaderWorkerSet has a name; locks are of all kinds of machine; a sweep has
# several models; a functional suite is no suite of nights, and its filter is one of cases; a
# bisection is of a check, and locks are checked; the host of a server is this machine.
EXCEPTIONS = {
    "name",
    ("versions.lock", "device"),
    ("functional", "model"),
    ("functional", "suite"),
    ("notify", "suite"),
    ("functional", "filter"),
    ("case.prefill-decode", "model"),
    ("bisect", "check"),
    # A night alone has no run type; one of a suite is told its own.
    ("nightly", "run-type"),
    ("metrics.push", "run-type"),
    ("metrics.textfile", "run-type"),
    ("report.serve", "host"),
    # They select no hosts by default.
    *((f"hosts.{task}", flag) for task in ("quarantine", "release") for flag in ("cluster", "on")),
}


@pytest.fixture(scope="module")
def contexts():
    """Return every task as Invoke's parser reads it."""
    spec = importlib.util.spec_from_file_location("tasks", PROJECT / "tasks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {context.name: context for context in module.namespace.to_contexts()}


def flags_of(context):
    return {
        next(name for name in argument.names if name[1:]): argument
        for argument in context.args.values()
    }


def test_every_flag_has_a_help_text(contexts):
    without_help = [
        f"{task} --{name}"
        for task, context in contexts.items()
        for name, argument in flags_of(context).items()
        if not argument.help
    ]
    assert len(contexts) > 35
    assert without_help == []


def test_a_flag_of_two_tasks_has_one_kind_one_default_and_one_help(contexts):
    first = {}
    for task, context in contexts.items():
        for name, argument in flags_of(context).items():
            if not EXCEPTIONS & {name, (task, name)}:
                meaning = (argument.kind, argument.default, argument.help)
                assert first.setdefault(name, meaning) == meaning, f"{task} --{name}"


def test_h_is_help_in_every_task_and_every_flag_has_a_name(contexts):
    spellings = [flag for context in contexts.values() for flag in context.flags]
    assert len(spellings) > 300
    assert [flag for flag in spellings if flag == "-h" or not flag.strip("-")] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("compare --pair last-good,last --nope local", "'--nope' is not a flag"),
        ("compare a --fllips=3", "'--fllips' is not a flag; did you mean --flips?"),
        ("plan --set a=--x --config local", None),
        ("bisect local --loss --check", None),
        ("check a --nope -- --paths", "'--nope' is not a flag"),
        ("check a -- --nope", None),
        ("check a --help", None),
        ("--help check", None),
        ("check a plan --paths b", "'--paths' is not a flag"),
        ("nope --paths b", None),
    ],
)
def test_an_unknown_flag_is_named(contexts, line, expected):
    found = unknown_flag(line.split(), contexts, Program().initial_context)
    assert (found or "").startswith(expected or "")
    assert bool(found) is bool(expected)


def imported_by(module):
    """Return the slow packages that importing a module imports."""
    slow = "{'pydantic', 'yaml', 'rich', 'paramiko'}"
    code = f"import sys, {module}; print(*{slow} & {{*sys.modules}})"
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True)
    return set(ended.stdout.split())


def test_listing_the_tasks_imports_nothing_that_invoke_does_not():
    assert imported_by("tasks") == imported_by("invoke")
