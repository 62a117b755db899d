"""Test `inv suite.run`: what it refuses and shows, and how its nights are judged."""

import datetime as dt
import json

import pytest
from scripted_slurm import RUNS, ScriptedSlurm, ended

from ci.case.load import load_one
from ci.catalog.environments import load_versions
from ci.commands import slurm_jobs, suite_prepare
from ci.commands.down_suite import down_suite
from ci.commands.nightly import _chosen_parts
from ci.commands.simulated_cases import simulated_cases
from ci.commands.suite_flags import Selection, SuiteRun
from ci.commands.suite_night import _with_nodes
from ci.commands.suite_run import run
from ci.commands.suite_source import selected_nights
from ci.errors import ExitCode, UserError
from ci.paths import CONFIGS
from ci.request import Request
from ci.suite.cases import case_of
from ci.suite.next_orders import Begin
from ci.suite_run.folder import SuiteFolder, locked, read_suite
from ci.suite_run.order import request_of

NOW = dt.datetime.fromisoformat("2026-11-27 12:00")
CASE = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 8
device: ascend
env_common: {{}}
deployment:
  - server_cmd: vllm serve m --port 80
benchmarks:
  acc: {{case_type: accuracy, dataset_path: d, max_out_len: 1, batch_size: 1}}
  perf: {{case_type: performance, dataset_path: d, max_out_len: 1, batch_size: 1}}
{more}"""
CLUSTER = """\
defaults: {accelerator: {kind: ascend, count: 8}}
hosts: {node-1: , node-2: }
"""
SUITE = """\
cluster: %s
judge: {false_alarms_a_month: 4, control: last-good}
run_types: {daily: , quick: {stages: [accuracy], benchmarks: [a*], functional: none}}
nights:
  - {cases: ./one, expected: 1h}
  - {cases: ./two, expected: 1h, set: {env_common.MY_TOKEN: very-secret-1234}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("LAMPLIGHTER_ACCURACY_CONFIG", raising=False)
    (tmp_path / "one.yaml").write_text(CASE.format(more=""))
    (tmp_path / "two.yaml").write_text(CASE.format(more="judge: {control: none}\n"))
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tmp_path / "suite.yaml").write_text(SUITE % (tmp_path / "cluster.yaml"))
    return tmp_path


def flags(folder, **more):
    return SuiteRun(suite=str(folder / "suite.yaml"), runs=str(folder / "runs"), **more)


def as_run(folder, name, **more):
    """Return the case of a night as its own process runs it."""
    given = Selection(suite=str(folder / "suite.yaml"), runs="", **more)
    (night,) = [each for each in selected_nights(given, NOW.date()).nights if each.name == name]
    prepared = suite_prepare.prepare(flags(folder), NOW)
    state = suite_prepare.first_state(flags(folder), prepared, "id", folder)
    begin = Begin(name, ("node-1",), {"node-1": (4, 5)})
    targets = {each.name: each for each in prepared.targets}
    request = request_of(state, night, begin, "runs", "id", targets)
    return request, _chosen_parts(load_one(night.config, folder, request.set), request)


def test_a_dry_run_starts_nothing_and_hides_secrets(folder, capsys):
    assert run(flags(folder, dry_run=True)) == ExitCode.PASS
    out = capsys.readouterr().out
    assert "suite: 2 nights of run type daily on 2 hosts" in out
    assert f"inv nightly --config {folder}/one.yaml --cluster {folder}/cluster.yaml --on " in out
    assert "env_common.MY_TOKEN=***" in out
    assert "very-secret-1234" not in out
    assert "dry run: nothing was started" in out
    assert not (folder / "runs").exists()


def test_a_case_that_is_not_valid_is_left_out(folder, capsys):
    (folder / "two.yaml").write_text("test_name: [")
    assert run(flags(folder, dry_run=True)) == ExitCode.USER
    assert "left out: " in capsys.readouterr().err


def test_a_setting_that_does_not_fit_is_left_out_of_the_run(folder):
    text = (folder / "suite.yaml").read_text().replace("env_common.MY_TOKEN", "no_such_key")
    (folder / "suite.yaml").write_text(text)
    prepared = suite_prepare.prepare(flags(folder), NOW)
    state = suite_prepare.first_state(flags(folder), prepared, "id", folder)
    assert [(each.name, each.state) for each in state.nights] == [
        ("one", "waiting"),
        ("two", "left-out"),
    ]
    assert "no_such_key" in state.problems[0]


def test_the_state_has_no_secret(folder):
    prepared = suite_prepare.prepare(flags(folder), NOW)
    state = suite_prepare.first_state(flags(folder), prepared, "id", folder)
    assert "very-secret-1234" not in state.model_dump_json()


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_night_is_judged_at_the_level_that_simulation_says(folder, name):
    _, case = as_run(folder, name)
    simulated, errors = simulated_cases(str(folder / "suite.yaml"), "daily")
    (same,) = [each.case.judge for each in simulated if each.where.endswith(f": {name}")]
    assert errors == []
    assert case.judge == same
    assert case.judge.false_alarms_a_month == 2
    assert case.judge.control == ("last-good" if name == "one" else "none")


def test_a_filter_does_not_change_how_a_night_is_judged(folder):
    _, case = as_run(folder, "one", filter="one")
    assert case.judge.false_alarms_a_month == 2


def test_only_the_parts_of_the_run_type_run(folder):
    request, case = as_run(folder, "one", run_type="quick")
    assert [each.name for each in case.benchmarks] == ["acc"]
    assert (request.functional, request.stages) == ("none", "accuracy")
    given = Selection(suite=str(folder / "suite.yaml"), runs="", run_type="quick")
    night = selected_nights(given, NOW.date()).nights[0]
    assert case_of(night, folder).benchmarks == case.benchmarks


def test_a_night_beside_others_sees_its_devices_only(folder):
    _, case = as_run(folder, "one")
    (node,) = case.nodes
    assert node.env["ASCEND_RT_VISIBLE_DEVICES"] == "4,5"


def test_benchmarks_that_no_case_has(folder):
    _, case = as_run(folder, "one")
    with pytest.raises(UserError, match="no benchmark is named gsm8k; there are: acc, perf"):
        _chosen_parts(case, Request(benchmarks="gsm8k"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"resume": "last", "filter": "one"}, "--suite: a run that is resumed has its own"),
        ({"until": "25:00"}, "--until: '25:00' is not a time of day"),
        ({"vllm": "0.0.1"}, "0.0.1"),
        ({"run_type": "monthly"}, "no run type 'monthly'"),
    ],
)
def test_what_is_refused_before_anything_is_started(folder, more, message):
    with pytest.raises(UserError, match=message):
        run(flags(folder, **more))
    assert not (folder / "runs").exists()


def test_versions_replace_those_of_the_suite(folder):
    first, second = list(load_versions(CONFIGS / "versions.yaml"))[:2]
    prepared = suite_prepare.prepare(flags(folder, vllm=f"{first},{second}"), NOW)
    assert list(prepared.setting.nights) == [
        f"{name}@{version}" for name in ("one", "two") for version in (first, second)
    ]


def test_a_run_whose_nights_are_done_is_not_resumed(folder):
    prepared = suite_prepare.prepare(flags(folder), NOW)
    state = suite_prepare.first_state(flags(folder), prepared, "x", folder)
    done = [each.model_copy(update={"state": "ended"}) for each in state.nights]
    path = folder / "runs" / "20261127-220000-suite-s-1a2b"
    path.mkdir(parents=True)
    state = state.model_copy(update={"nights": tuple(done)})
    (path / "suite.json").write_text(json.dumps(state.model_dump(mode="json")))
    with pytest.raises(UserError, match="nothing is left to run"):
        run(SuiteRun(runs=str(folder / "runs"), resume="last"))
    assert read_suite(path) == state
    waits = done[0].model_copy(update={"state": "waiting"})
    state = state.model_copy(update={"nights": (waits, done[1])})
    (path / "suite.json").write_text(json.dumps(state.model_dump(mode="json")))
    (folder / "one.yaml").write_text("test_name: [")
    wrong = r"(?s)nothing is left to run.*\none: .* not valid now\n.*/one.yaml:2:1: "
    with pytest.raises(UserError, match=wrong):
        run(SuiteRun(runs=str(folder / "runs"), resume="last"))


def test_a_damaged_history_hinders_no_night(folder):
    (folder / "runs").mkdir()
    (folder / "runs" / "history.db").write_text("no database" * 100)
    prepared = suite_prepare.prepare(flags(folder), NOW)
    state = suite_prepare.first_state(flags(folder), prepared, "x", folder / "runs")
    assert [each.unstable for each in state.nights] == ["", ""]
    (note,) = state.notes
    assert note.startswith("how long past nights took is not known: ")
    assert "history.rebuild" in note


def test_a_run_with_relative_paths_is_resumed_where_it_was_begun(folder, monkeypatch):
    monkeypatch.chdir(folder)
    given = SuiteRun(suite="suite.yaml", runs="runs")
    state = suite_prepare.first_state(given, suite_prepare.prepare(given, NOW), "x", folder)
    path = folder / "runs" / "20261127-220000-suite-s-1a2b"
    path.mkdir(parents=True)
    (path / "suite.json").write_text(json.dumps(state.model_dump(mode="json")))
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match=f"x was begun in {folder}; resume it there"):
        run(SuiteRun(runs=str(folder / "runs"), resume="last", dry_run=True))


def test_there_is_no_run_to_resume(folder):
    with pytest.raises(UserError, match="no run of a suite in"):
        run(SuiteRun(runs=str(folder / "runs"), resume="last"))


def on_slurm(folder, keys=""):
    (folder / "cluster.yaml").write_text(f"slurm: {{time: 2h{keys}}}\n")


def test_a_dry_run_on_slurm_shows_the_job(folder, capsys, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    on_slurm(folder, ", nodes: 2, partition: night")
    assert run(flags(folder, dry_run=True)) == ExitCode.PASS
    out = capsys.readouterr().out
    assert "sbatch --parsable --exclusive --mem=0 --nodes=2 --time=120:00 --partition=night" in out
    assert "slurm-1 to slurm-2 stand for them" in out
    assert f"inv nightly --config {folder}/one.yaml --cluster {folder}/cluster.yaml --" in out
    assert "--on" not in out
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert run(flags(folder, dry_run=True)) == ExitCode.PASS
    assert "all nights run in Slurm job 12" in capsys.readouterr().out


def test_slurm_gives_as_many_nodes_as_the_largest_case_has(folder, capsys):
    on_slurm(folder)
    assert run(flags(folder, dry_run=True)) == ExitCode.PASS
    assert "--nodes=1 " in capsys.readouterr().out


def test_hosts_and_labels_hold_once_slurm_has_given_the_nodes(folder):
    on_slurm(folder, ", nodes: 3")
    text = (folder / "suite.yaml").read_text().replace("./one,", "./one, hosts: {names: [n7]},")
    (folder / "suite.yaml").write_text(text)
    prepared = suite_prepare.prepare(flags(folder), NOW)
    assert (prepared.problems, prepared.planned.not_planned) == ({}, ())
    assert prepared.setting.targets == ()
    state = suite_prepare.first_state(flags(folder), prepared, "id", folder)
    assert state.awaits_hosts
    assert state.notes == ()


def test_a_night_names_the_nodes_that_it_has_of_the_job(folder):
    on_slurm(folder)
    given = Request(cluster=str(folder / "cluster.yaml"), on="n2,n1", slurm_job=12)
    assert [each.name for each in _with_nodes(given).allocated] == ["n2", "n1"]
    without = Request(cluster=given.cluster, on="n2")
    assert _with_nodes(without) is without
    (folder / "cluster.yaml").write_text(CLUSTER)
    with pytest.raises(UserError, match="had `slurm:` when the suite began"):
        _with_nodes(given)


def state_with_job(folder, **more):
    """Write suite.json of a suite with a job; return its folder."""
    on_slurm(folder)
    prepared = suite_prepare.prepare(flags(folder), NOW)
    name = "20261127-120000-suite-suite-1a2b"
    state = suite_prepare.first_state(flags(folder), prepared, name, folder)
    job = state.slurm.model_copy(update={"job": 15, "nodes": ("sltry-2",)} | more)
    path = folder / "runs" / name
    path.mkdir(parents=True)
    SuiteFolder(path, print).save(state.model_copy(update={"slurm": job}))
    return path


@pytest.mark.parametrize(("answer", "own", "cancelled", "words"), [
    (RUNS, True, [15], "Slurm job 15 of 20261127-120000-suite-suite-1a2b is cancelled"),
    (ended("TIMEOUT"), True, [], "its Slurm job 15 is TIMEOUT"),
    (RUNS, False, [], "its Slurm job 15 is RUNNING, in which the suite ran"),
])  # fmt: skip
def test_the_job_of_a_suite_whose_controller_has_died_is_cancelled(  # noqa: PLR0913, PLR0917
    folder, monkeypatch, capsys, answer, own, cancelled, words
):
    path = state_with_job(folder, own=own)

    class There(ScriptedSlurm):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    slurm = There(answer)
    monkeypatch.setattr(slurm_jobs, "Slurm", lambda _: slurm)
    assert down_suite(folder / "runs", path.name, dry_run=False) == ExitCode.PASS
    assert slurm.cancelled == cancelled
    assert words in capsys.readouterr().out


def test_the_job_of_a_suite_that_runs_is_left_to_its_controller(folder):
    path = state_with_job(folder)
    with locked(path), pytest.raises(UserError, match="its controller runs; Ctrl-C"):
        down_suite(folder / "runs", path.name, dry_run=False)
    assert down_suite(folder / "runs", "no-suite", dry_run=False) is None
