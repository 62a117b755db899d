"""`inv matrix`: the nights of a suite as the matrix of a workflow."""

from __future__ import annotations

import datetime as dt
import json
import shlex
from glob import escape
from typing import TYPE_CHECKING, Any

from ci.commands.suite_source import selected_nights
from ci.errors import CaseError, UserError

if TYPE_CHECKING:
    from ci.commands.suite_flags import Matrix
    from ci.suite.night import SuiteNight

# "A matrix will generate a maximum of 256 jobs per workflow run",
# https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
MAX_JOBS = 256


def matrix(given: Matrix) -> str:
    """Return the matrix as one line of JSON.

    Raises:
        UserError: `--github` is missing, a case is missing or not valid, or there are too many
            nights.
    """
    if not given.github:
        raise UserError("inv matrix: for which kind of workflow? There is one: --github")
    selected = selected_nights(given, dt.datetime.now().astimezone().date())
    if selected.problems:
        raise CaseError(selected.problems)
    nights = selected.nights
    if not nights:
        raise UserError(f"{selected.suite.file}: no night runs in run type {given.run_type}")
    if len(nights) > MAX_JOBS:
        raise UserError(
            f"{selected.suite.file}: {len(nights)} nights, but a matrix of GitHub has at most "
            f"{MAX_JOBS} jobs; choose some with --filter, or run `inv suite.plan` on one runner"
        )
    jobs = [job_of(night, given) for night in nights]
    return json.dumps({"include": jobs}, ensure_ascii=False) + "\n"


def job_of(night: SuiteNight, given: Matrix) -> dict[str, Any]:
    """Return a night as an entry of `include`.

    `flags` select this night alone in the commands of suites; they are quoted for a shell.
    """
    flags = ("--suite", given.suite, "--run-type", given.run_type, "--filter", escape(night.name))
    return {
        "night": night.name,
        "flags": shlex.join(flags),
        "config": night.config,
        "vllm": night.vllm,
        "set": list(night.settings),
        "kind": night.needs.kind,
        "hosts": night.needs.count,
        "devices": night.needs.devices,
        "labels": labels_of(night),
        "priority": night.priority,
        "owner": night.owner,
        "expected_minutes": round(night.expected_s / 60),
        "muted": night.mute is not None,
    }


def labels_of(night: SuiteNight) -> list[str]:
    """Return the labels of the runners that can run a night, for `runs-on`."""
    return ["self-hosted", *([night.needs.kind] if night.needs.kind else [])]
