"""Fail if commits have come to main without a pull request. The audit workflow runs this.

Reads the event of a push, and asks GitHub which pull requests brought its last commit. Uses the
standard library only, and no code of the project: it runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

# The pull request of a commit may be listed some seconds after its merge.
TRIES, PAUSE_S, ANSWER_S = 6, 10.0, 30.0
ADVICE = (
    "Revert it with a pull request, or open one that reviews it. Each clone can refuse such "
    "pushes: git config core.hooksPath .github/hooks"
)


def objection(event: dict[str, Any], pulls: list[dict[str, Any]]) -> str:
    """Say why a push should not have been; empty if a pull request brought it.

    Args:
        event: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
        pulls: pull requests with the last commit of the push:
            https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit
    """
    branch = event["ref"].removeprefix("refs/heads/")
    who = (event.get("pusher") or {}).get("name", "somebody")
    if event.get("deleted"):
        return f"{who} deleted {branch}."
    if event.get("forced"):
        return f"{who} replaced commits of {branch}: it was {event['before']}."
    merged = [pull for pull in pulls if pull.get("merged_at") and pull["base"]["ref"] == branch]
    if not merged:
        return f"{who} pushed {event['after']} to {branch} without a pull request."
    return ""


def pulls_of(commit: str, env: dict[str, str]) -> list[dict[str, Any]]:
    """Ask GitHub for the pull requests with a commit."""
    url = f"{env['GITHUB_API_URL']}/repos/{env['GITHUB_REPOSITORY']}/commits/{commit}/pulls"
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {env['GITHUB_TOKEN']}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - of the workflow
    with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:  # noqa: S310
        found = json.load(reply)
    return list(found)


def main(env: dict[str, str], pause_s: float = PAUSE_S) -> int:
    """Audit the push of $GITHUB_EVENT_PATH; return the exit code of the step."""
    event = json.loads(Path(env["GITHUB_EVENT_PATH"]).read_text("utf-8"))
    against = ""
    for number in range(TRIES):
        if number:
            time.sleep(pause_s)
        try:
            gone = event.get("deleted") or event.get("forced")
            against = objection(event, [] if gone else pulls_of(event["after"], env))
        except (urllib.error.URLError, OSError, ValueError) as error:
            against = f"GitHub could not be asked for the pull request of {event['after']}: {error}"
            continue
        if not against or gone:
            break
    if not against:
        print(f"{event['after']} came by a pull request")
        return 0
    print(f"::error title=Direct push::{against} {ADVICE}")
    if summary := env.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"**Direct push:** {against}\n\n{ADVICE}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
