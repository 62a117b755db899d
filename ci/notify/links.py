"""Make the links of a message: to reports, or to the run of the workflow that made them. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL = re.compile(r"https?://[^\s<>\"'|\\^`{}@?#]{1,500}")


def report_link(base: str, folder: str) -> str:
    """Return the address of a run's report; empty without a base.

    Args:
        base: address under which the folder of runs is served; empty for none.
        folder: name of the run's folder.
    """
    return f"{base.rstrip('/')}/{quote(folder, safe='')}/report.html" if base else ""


def workflow_link(env: Mapping[str, str]) -> str:
    """Return the address of this run on GitHub, GitLab or Jenkins; empty elsewhere.

    The variables are those that these set:
    https://docs.github.com/en/actions/reference/workflows-and-actions/variables,
    https://docs.gitlab.com/ci/variables/predefined_variables/,
    https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables.
    """
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (env.get(name, "") for name in names)
    github = f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""
    for url in (github, env.get("CI_JOB_URL", ""), env.get("BUILD_URL", "")):
        if _URL.fullmatch(url):
            return url
    return ""
