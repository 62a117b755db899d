"""Test `inv suite.plan` and `inv matrix`: what they print, and their exit codes."""

import datetime as dt
import json
import shlex

import pytest

from ci.commands import suite_source
from ci.commands.matrix import MAX_JOBS, matrix
from ci.commands.suite_flags import Matrix, Plan
from ci.commands.suite_plan import plan
from ci.errors import CaseError, ExitCode, UserError
from ci.suite.progress import Quarantined
from ci.suite_run.quarantine import put

NOW = dt.datetime.fromisoformat("2026-11-27 12:00")
CASE = """\
test_name: t
model: m
num_nodes: {hosts}
npu_per_node: 8
device: ascend
deployment:
{servers}
benchmarks: {{acc: {{case_type: accuracy, dataset_path: d, max_out_len: 1, batch_size: 1}}}}
"""
CLUSTER = """\
defaults: {accelerator: {kind: ascend, count: 8}}
hosts: {node-1: , node-2: , node-3: , node-4: , node-5: }
"""
SUITE = """\
cluster: %s
window: {start: "22:00", until: "06:00"}
run_types: {pr: {sizes: {accuracy: 9}}, daily: , weekly: {tags: [none]}}
nights:
  - {cases: ./one, owner: me, expected: 1h30m, canary: true}
  - {cases: ./wide, vllm: [0.32.0, 0.30.0], priority: 2, expected: 4h30m}
mute: [{cases: one, owner: me, until: 2026-11-28, because: known}]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("LAMPLIGHTER_ACCURACY_CONFIG", raising=False)
    for name, hosts in (("one", 1), ("wide", 5)):
        servers = "\n".join("  - server_cmd: vllm serve m --port 80" for _ in range(hosts))
        (tmp_path / f"{name}.yaml").write_text(CASE.format(hosts=hosts, servers=servers))
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tmp_path / "suite.yaml").write_text(SUITE % (tmp_path / "cluster.yaml"))
    return tmp_path


def printed(capsys, folder, **flags):
    given = {"suite": str(folder / "suite.yaml"), "runs": str(folder / "runs"), **flags}
    code = plan(Plan(**given), NOW)
    return code, capsys.readouterr()


def test_the_table(capsys, folder):
    code, out = printed(capsys, folder)
    assert code == ExitCode.PASS
    lines = [line.split("  ") for line in out.out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    head = f"suite: 3 nights of run type daily on 5 hosts of {folder}/cluster.yaml, from "
    assert cells == [
        [head + "2026-11-27 22:00 until 06:00 +1d"],
        [],
        ["night", "hosts", "start", "end", "takes", "priority", "remark"],
        [
            *("one", "node-1", "22:00", "23:30", "1h30m", "canary"),
            "of me, muted until 2026-11-28 by me: known",
        ],
        [
            *("wide@0.32.0", "node-1, node-2, node-3, node-4 and 1 more"),
            *("23:30", "04:00 +1d", "4h30m", "2"),
        ],
        [],
        ["makespan 6h00m; on these hosts it is 6h00m at least"],
        ["not begun: 1 night"],
        ["wide@0.30.0: could begin at 04:00 and take 4h30m, but the window ends at 06:00"],
    ]


def test_as_json(capsys, folder):
    _, out = printed(capsys, folder, json=True)
    values = json.loads(out.out)
    assert [each["name"] for each in values["nights"]] == ["one", "wide@0.32.0"]
    assert values["nights"][0]["start"] == "2026-11-27T22:00:00"
    assert values["nights"][1]["hosts"] == [f"node-{n}" for n in range(1, 6)]
    assert values["nights"][0]["mute"] == {"owner": "me", "until": "2026-11-28", "because": "known"}
    assert [each["name"] for each in values["not_begun"]] == ["wide@0.30.0"]
    assert (values["makespan_s"], values["bound_s"]) == (6 * 3600, 6 * 3600)


def test_until_filter_and_run_type(capsys, folder):
    _, out = printed(capsys, folder, until="07:30", filter="wide", run_type="pr", json=True)
    values = json.loads(out.out)
    assert values["until"] == "2026-11-28T07:30:00"
    assert [each["set"] for each in values["nights"]] == [["benchmarks.acc.num_prompts=9"]] * 2
    assert values["not_begun"] == []


def test_an_assumed_duration_is_marked(capsys, folder):
    text = (folder / "suite.yaml").read_text().replace("expected: 1h30m, ", "")
    (folder / "suite.yaml").write_text(text)
    _, out = printed(capsys, folder)
    assert "  ~1h00m  canary" in out.out
    assert "~ is assumed: write `expected`" in out.out


def test_past_nights_give_the_duration(capsys, folder, monkeypatch):
    text = (folder / "suite.yaml").read_text().replace("expected: 1h30m, ", "")
    (folder / "suite.yaml").write_text(text)
    monkeypatch.setattr(suite_source, "_past_of", lambda *_: ({("one", "0.1"): [600.0]}, ()))
    _, out = printed(capsys, folder)
    assert "  11m    canary" in out.out


def test_an_ended_mute_is_a_note(capsys, folder):
    text = (folder / "suite.yaml").read_text().replace("2026-11-28", "2026-11-26")
    (folder / "suite.yaml").write_text(text)
    _, out = printed(capsys, folder)
    assert "note   the mute of one ended on 2026-11-26: failures count again; its owner" in out.out


def test_a_missing_case_is_left_out_and_the_code_says_so(capsys, folder):
    (folder / "wide.yaml").unlink()
    code, out = printed(capsys, folder)
    assert code == ExitCode.USER
    assert "one    node-1  22:00" in out.out
    assert f"left out: {folder}/suite.yaml:6:13: nights[1].cases: no case file" in out.err


def test_a_filter_that_names_a_broken_case_shows_what_is_wrong_with_it(folder):
    (folder / "one.yaml").write_text("test_name: [")
    with pytest.raises(UserError, match=r"(?s)--filter one: none of 2 nights .*one.yaml:2:1"):
        plan(Plan(suite=str(folder / "suite.yaml"), runs="", filter="one"), NOW)


def test_the_variable_of_an_accuracy_file_that_is_missing_is_named(folder, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_ACCURACY_CONFIG", str(folder / "none.yaml"))
    with pytest.raises(UserError, match=r"^\$LAMPLIGHTER_ACCURACY_CONFIG: .*none.yaml"):
        plan(Plan(suite=str(folder / "suite.yaml"), runs=""), NOW)


def test_accuracy_of_the_environment(capsys, folder, monkeypatch):
    (folder / "my.yaml").write_text("task: gsm8k\nmax_samples: 7\nmin_score: 0.5\n")
    monkeypatch.setenv("LAMPLIGHTER_ACCURACY_CONFIG", str(folder / "my.yaml"))
    _, out = printed(capsys, folder, filter="one", json=True)
    values = json.loads(out.out)
    assert values["accuracy"] == str(folder / "my.yaml")
    (setting,) = values["nights"][0]["set"]
    assert setting.startswith("benchmarks.gsm8k={case_type: accuracy")
    assert "num_prompts: 7" in setting
    assert "baseline: 50.0, threshold: 0" in setting


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"until": "later"}, "--until: 'later' is not a time of day; write e.g. 06:00"),
        ({"run_type": "nightly"}, "no run type 'nightly'"),
        ({"run_type": "weekly"}, "suite.yaml: no night runs in run type weekly"),
        ({"filter": "nope"}, "--filter nope: none of 3 nights"),
        ({"cluster": "nope"}, "no cluster 'nope'"),
        ({"suite": "nope"}, "no suite 'nope'"),
    ],
)
def test_wrong_flags(folder, flags, message):
    with pytest.raises(UserError, match=message):
        plan(Plan(**{"suite": str(folder / "suite.yaml"), "runs": str(folder), **flags}), NOW)


def test_a_suite_without_a_cluster(folder):
    (folder / "suite.yaml").write_text("nights: [{cases: ./one}]\n")
    with pytest.raises(UserError, match="names no cluster; add `cluster: NAME`, or --cluster"):
        plan(Plan(suite=str(folder / "suite.yaml"), runs=str(folder)), NOW)


def test_the_example_suite_is_planned_on_the_example_cluster(capsys, tmp_path):
    assert plan(Plan(runs=str(tmp_path), json=True), NOW) == ExitCode.PASS
    values = json.loads(capsys.readouterr().out)
    assert len(values["nights"]) == 7
    assert values["not_begun"] == []


def jobs_of(folder, **flags):
    given = {"suite": str(folder / "suite.yaml"), "runs": str(folder), "github": True, **flags}
    text = matrix(Matrix(**given))
    assert text.count("\n") == 1
    return json.loads(text)["include"]


def test_the_matrix_of_a_workflow(folder):
    jobs = jobs_of(folder, run_type="pr")
    assert [job["night"] for job in jobs] == ["one", "wide@0.32.0", "wide@0.30.0"]
    assert jobs[1] == {
        "night": "wide@0.32.0",
        "flags": f"--suite {folder}/suite.yaml --run-type pr --filter wide@0.32.0",
        "config": f"{folder}/wide.yaml",
        "vllm": "0.32.0",
        "set": ["benchmarks.acc.num_prompts=9"],
        "kind": "ascend",
        "hosts": 5,
        "devices": 8,
        "labels": ["self-hosted", "ascend"],
        "priority": 2,
        "owner": "",
        "expected_minutes": 270,
        "muted": False,
    }


def test_the_flags_of_a_job_select_its_night_alone(folder):
    for job in jobs_of(folder):
        words = shlex.split(job["flags"])
        flags = dict(zip(words[::2], words[1::2], strict=True))
        (again,) = jobs_of(folder, filter=flags["--filter"])
        assert again["night"] == job["night"]


def test_a_matrix_without_a_job_or_with_too_many(folder):
    with pytest.raises(UserError, match="no night runs in run type weekly"):
        jobs_of(folder, run_type="weekly")
    text = (folder / "one.yaml").read_text().replace("model: m", "model: m${sweep.n}", 1)
    for number in range(5):
        sweep = f"sweep: {{n: {list(range(60))}}}\n"
        (folder / f"many-{number}.yaml").write_text(text + sweep)
    (folder / "suite.yaml").write_text("nights: [{cases: ./many-*}]\n")
    with pytest.raises(
        UserError, match=f"300 nights, but a matrix of GitHub has at most {MAX_JOBS}"
    ):
        jobs_of(folder)


def test_a_matrix_with_a_missing_case_is_none(folder):
    (folder / "wide.yaml").unlink()
    with pytest.raises(CaseError, match="no case file"):
        jobs_of(folder)


def test_for_which_workflow(folder):
    with pytest.raises(UserError, match="There is one: --github"):
        matrix(Matrix(suite=str(folder / "suite.yaml")))


def test_a_host_in_quarantine_is_planned_without_and_said(capsys, folder, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(folder / "workspace"))
    entry = {"reason": "lost", "since": "2026-11-26T20:00:00Z", "by": "me@here"}
    apart = [
        Quarantined(host="node-1", address="node-1", run="run-1", **entry),
        Quarantined(host="node-3", address="node-3", **entry),
    ]
    put(apart)
    code, out = printed(capsys, folder)
    assert code == ExitCode.PASS
    assert "one    node-2 " in out.out
    assert "; the cluster has 3 (node-2, node-4, node-5)\n" in out.out
    since = "is in quarantine and takes no nights, since 2026-11-26T20:00:00Z: lost"
    again = "; it does again once it was examined and has served"
    assert f"note   node-1 {since}{again}\n" in out.out
    assert f"note   node-3 {since}\n" in out.out


def test_a_mute_of_nothing_is_said(capsys, folder):
    suite = (folder / "suite.yaml").read_text().replace("{cases: one, owner", "{cases: oen, owner")
    (folder / "suite.yaml").write_text(suite)
    _, out = printed(capsys, folder)
    assert "note   'oen' names no night of this suite; remove it, or correct it\n" in out.out


@pytest.mark.parametrize(
    ("vllm", "problem"),
    [
        ("", "one.yaml:1:1: model: SmolLM2-135M-Instruct is converted with vLLM's environment"),
        ('vllm: "0.32.0"', ""),
    ],
)
def test_a_model_that_needs_a_vllm(capsys, folder, vllm, problem):
    case = (folder / "one.yaml").read_text()
    case = case.replace("model: m", f"model: SmolLM2-135M-Instruct\n{vllm}")
    (folder / "one.yaml").write_text(case)
    code, out = printed(capsys, folder)
    assert code == (ExitCode.USER if problem else ExitCode.PASS)
    assert (problem in out.err) if problem else not out.err
