"""`inv k8s.nightly`: one night whose servers run in pods."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.load import load_one
from ci.commands.pods import options_of
from ci.errors import ExitCode, UserError
from ci.k8s.render import render
from ci.paths import CASES
from ci.pods.plan import plan_pods_night
from ci.pods.where import Pods
from ci.resolve import require_datasets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Case
    from ci.commands.pod_flags import Nightly

VARIABLE = "LAMPLIGHTER_K8S_DELETE_YAML"


def nightly(flags: Nightly) -> ExitCode:
    """Run a night in pods.

    Raises:
        UserError: the case or an option is wrong, or kubectl is not installed; nothing was applied.
    """
    from ci.explain.rules import own_rules  # noqa: PLC0415
    from ci.k8s.kubectl import require_kubectl  # noqa: PLC0415

    if not flags.config:
        raise UserError("--config is missing; give a case file")
    own_rules()  # a mistake in it is reported before anything is applied
    request, options = flags.request(), options_of(flags)
    case = load_one(flags.config, CASES, flags.set)
    night = plan_pods_night(case, request, options)
    require_datasets(case, request)
    files = delete_files(case, os.environ)
    if flags.dry_run:
        sys.stdout.write(render(night.pods, options))
        print("# dry run: the case and its data sets are in order; no cluster was contacted")
        return ExitCode.PASS
    require_kubectl()
    return _night(flags, Pods(night, options, flags.context, files))


def delete_files(case: Case, env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the manifests whose objects are deleted at the end.

    That of the variable replaces that of the case, so that a case need not be changed for a test.

    Raises:
        UserError: the file does not exist.
    """
    name, by = env.get(VARIABLE, ""), VARIABLE
    if not name:
        name, by = case.k8s_delete_yaml, f"{case.path}: k8s_delete_yaml"
    if not name:
        return ()
    path = Path(name).expanduser()
    for candidate in (path, Path(case.path).parent / path):
        if candidate.is_file():
            return (str(candidate),)
    raise UserError(f"{by}: {name}: there is no such file; correct the path")


def _night(flags: Nightly, pods: Pods) -> ExitCode:
    from ci.nightly import begin, run_night  # noqa: PLC0415
    from ci.pods.session import serving_in_pods  # noqa: PLC0415
    from ci.report.open_view import open_view  # noqa: PLC0415
    from ci.run.interrupt import interrupts  # noqa: PLC0415

    request, resolved = flags.request(), pods.night.resolved
    argv = ["inv", *request.argv[1:]]
    bring_up = functools.partial(serving_in_pods, pods)
    with (
        open_view(sys.stdout) as view,
        interrupts(view.warn) as received,
        begin(request, resolved, view, argv) as record,
    ):
        return run_night(request, resolved, record, record.view, received, bring_up)
