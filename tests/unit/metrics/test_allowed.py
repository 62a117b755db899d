from __future__ import annotations

import pytest

from ci.metrics.allowed import asks_origin, path_of, refusal

MAIN = {"PROM_PUSHGATEWAY_REPOSITORY": "team/nights"}
GITHUB = {**MAIN, "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "team/nights"}
GITLAB = {**MAIN, "GITLAB_CI": "true", "CI_PROJECT_PATH": "team/nights"}
PULL = {**GITHUB, "GITHUB_EVENT_NAME": "pull_request_target"}
AFTER = {**GITHUB, "GITHUB_EVENT_NAME": "workflow_run"}


def pull_from(name: object) -> dict[str, object]:
    return {"pull_request": {"head": {"repo": {"full_name": name}}}}


def after(name: object) -> dict[str, object]:
    return {"workflow_run": {"event": "pull_request", "head_repository": {"full_name": name}}}


@pytest.mark.parametrize(
    ("run_type", "env", "event", "origin"),
    [
        ("daily", {}, None, ""),
        ("daily", {"CI": "false"}, None, ""),
        ("daily", {}, None, "git@github.com:anyone/else.git"),
        ("daily", MAIN, None, "git@github.com:team/nights.git"),
        ("daily", MAIN, None, "https://me:token@git.example/Team/Nights"),
        ("daily", GITHUB, None, ""),
        ("daily", {**GITHUB, "GITHUB_REPOSITORY": "Team/Nights"}, None, ""),
        ("daily", GITHUB | {"GITHUB_EVENT_NAME": "schedule"}, {"schedule": "0 20 * * *"}, ""),
        ("daily", PULL, pull_from("team/nights"), ""),
        ("daily", AFTER, after("team/nights"), ""),
        ("daily", GITLAB, None, ""),
        ("daily", {**MAIN, "JENKINS_URL": "x"}, None, "https://git.example/team/nights.git"),
    ],
)
def test_who_publishes(run_type, env, event, origin):
    assert refusal(run_type, env, event, origin) == ""


@pytest.mark.parametrize(
    ("run_type", "env", "event", "origin", "words"),
    [
        ("", {}, None, "", "no run type was given"),
        ("pr", {}, None, "", "the run type is pr"),
        ("weekly", GITHUB, None, "", "the run type is weekly"),
        ("Daily", {}, None, "", "the run type is Daily"),
        ("daily", {"CI": "true"}, None, "", "set PROM_PUSHGATEWAY_REPOSITORY=owner/name"),
        (
            "daily",
            {"GITHUB_REPOSITORY": "fork/nights"},
            None,
            "",
            "set PROM_PUSHGATEWAY_REPOSITORY=fork/nights",
        ),
        ("daily", {"JENKINS_URL": "http://j"}, None, "", "only of a configured repository"),
        ("daily", MAIN, None, "", "tells which repository this is"),
        ("daily", MAIN, None, "/srv/team/nights", "tells which repository this is"),
        ("daily", MAIN, None, "git@github.com:fork/nights.git", "this is fork/nights"),
        ("daily", {**GITHUB, "GITHUB_REPOSITORY": "fork/nights"}, None, "", "this is fork/nights"),
        # The CI decides, whatever the remote is called.
        (
            "daily",
            {**GITHUB, "GITHUB_REPOSITORY": "fork/nights"},
            None,
            "git@github.com:team/nights.git",
            "this is fork/nights",
        ),
        ("daily", PULL, pull_from("fork/nights"), "", "from the fork fork/nights"),
        ("daily", PULL, pull_from(None), "", "source is unknown"),
        ("daily", PULL, None, "", "source is unknown"),
        ("daily", PULL, {"pull_request": [1]}, "", "source is unknown"),
        ("daily", AFTER, after("fork/nights"), "", "from the fork fork/nights"),
        ("daily", AFTER, after(None), "", "source is unknown"),
        ("daily", AFTER, None, "", "source is unknown"),
        (
            "daily",
            {**GITLAB, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "fork/nights"},
            None,
            "",
            "from the fork fork/nights",
        ),
        (
            "daily",
            {**MAIN, "JENKINS_URL": "x", "CHANGE_FORK": "fork"},
            None,
            "https://git.example/team/nights.git",
            "from the fork fork",
        ),
    ],
)
def test_who_does_not(run_type, env, event, origin, words):
    assert words in refusal(run_type, env, event, origin)


def test_a_dry_run_never_publishes():
    assert refusal("daily", GITHUB, None, "", dry_run=True)


@pytest.mark.parametrize(
    ("remote", "path"),
    [
        ("git@github.com:team/nights.git", "team/nights"),
        ("github.com:team/nights", "team/nights"),
        ("https://github.com/team/nights.git", "team/nights"),
        ("ssh://git@host:2222/group/sub/nights.git/", "group/sub/nights"),
        ("https://token@host/team/nights", "team/nights"),
        ("/srv/git/nights.git", ""),
        ("../nights", ""),
        ("https://[broken/x", ""),
        ("", ""),
    ],
)
def test_the_path_of_a_remote(remote: str, path: str):
    assert path_of(remote) == path


def test_git_is_asked_only_if_it_decides():
    assert asks_origin(MAIN)
    assert not asks_origin({})
    assert not asks_origin(GITHUB)
