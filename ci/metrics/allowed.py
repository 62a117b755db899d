"""Decide whether a run may publish metrics: only daily, and only from the right repository. Pure.

Where a CI runs says which repository it is of, in its environment:

- GitHub, Gitea: https://docs.github.com/en/actions/reference/workflows-and-actions/variables
- GitLab: https://docs.gitlab.com/ci/variables/predefined_variables/
- Jenkins: https://plugins.jenkins.io/github-branch-source/ (CHANGE_FORK: owner of the fork)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ci.connect.printed import one_line
from ci.history.hosts import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

DAILY = "daily"
REPOSITORY = "PROM_PUSHGATEWAY_REPOSITORY"
# Whoever sets one of these runs jobs of a repository.
_IN_CI = ("CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "GITLAB_CI", "JENKINS_URL", "BUILDKITE")
_OF_CI = ("GITHUB_REPOSITORY", "CI_PROJECT_PATH")
_FALSE = frozenset({"", "0", "false", "no"})
# `git@host:owner/name.git`, without the user in the way of ssh itself.
_SCP = re.compile(r"(?:[^@/\s]+@)?[^:/\s]+:(?P<path>[^/\s].*)")


def refusal(
    run_type: str,
    env: Mapping[str, str],
    event: Mapping[str, Any] | None,
    origin: str,
    *,
    dry_run: bool = False,
) -> str:
    """Return why nothing may be published, with the next step; empty if it may.

    Args:
        run_type: of the run.
        env: the environment of this process.
        event: what started the job on GitHub, the content of $GITHUB_EVENT_PATH; None if there is
            none or it cannot be read.
        origin: URL of the git remote `origin`; empty if there is none.
        dry_run: whether only a look was asked for.
    """
    if dry_run:
        return "--dry-run publishes nothing"
    if run_type != DAILY:
        shown = f"the run type is {one_line(run_type)}" if run_type else "no run type was given"
        return f"{shown}; only `--run-type {DAILY}` publishes metrics"
    return _of_repository(env, origin) or _of_fork(env, event)


def asks_origin(env: Mapping[str, str]) -> bool:
    """Return whether the remote of git decides: a repository is wanted, and no CI names one."""
    return bool(env.get(REPOSITORY)) and not any(env.get(name) for name in _OF_CI)


def _of_repository(env: Mapping[str, str], origin: str) -> str:
    wanted = env.get(REPOSITORY, "").strip()
    named = next((env[name] for name in _OF_CI if env.get(name)), "")
    in_ci = any(env.get(name, "").lower() not in _FALSE for name in _IN_CI)
    if not wanted:
        if named or in_ci:
            here = one_line(named) or "owner/name"
            return (
                f"a CI job publishes metrics only of a configured repository; set {REPOSITORY}="
                f"{here} there if it is the right one"
            )
        return ""
    here = named or path_of(origin)
    if not here:
        return (
            f"{REPOSITORY} is {one_line(wanted)}, and neither a CI nor the git remote `origin` "
            "tells which repository this is"
        )
    if _same(here, wanted):
        return ""
    return f"this is {one_line(here)}, and only {one_line(wanted)} publishes metrics ({REPOSITORY})"


def _of_fork(env: Mapping[str, str], event: Mapping[str, Any] | None) -> str:
    wanted = env.get(REPOSITORY, "").strip()
    source = env.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", "")
    if env.get("GITHUB_EVENT_NAME", "").startswith("pull_request"):
        source = _head_of(event)
        if not source:
            return "a pull request whose source is unknown publishes nothing"
    if env.get("GITHUB_EVENT_NAME") == "workflow_run":  # after a workflow, also one of a fork
        source = _name_of(mapping(mapping(event).get("workflow_run")).get("head_repository"))
        if not source:
            return "a workflow after one whose source is unknown publishes nothing"
    if fork := env.get("CHANGE_FORK", ""):
        source = fork
    if source and not _same(source, wanted):
        return f"this is a change from the fork {one_line(source)}, which publishes nothing"
    return ""


def _head_of(event: Mapping[str, Any] | None) -> str:
    """Return the repository that a pull request comes from; empty if unknown."""
    head = mapping(mapping(mapping(event).get("pull_request")).get("head"))
    return _name_of(head.get("repo"))


def _name_of(repository: object) -> str:
    name = mapping(repository).get("full_name")
    return name if isinstance(name, str) else ""


def path_of(remote: str) -> str:
    """Return `owner/name` of a git remote's URL; empty if it has none."""
    scp = None if "://" in remote else _SCP.fullmatch(remote.strip())
    try:
        path = scp["path"] if scp else urlsplit(remote.strip()).path
    except ValueError:
        return ""
    if not scp and "://" not in remote:
        return ""  # a folder of this machine
    return path.strip("/").removesuffix(".git").strip("/")


def _same(one: str, other: str) -> bool:
    """Compare repositories as GitHub and GitLab do: without regard to case."""
    return one.strip("/ ").casefold() == other.strip("/ ").casefold()
