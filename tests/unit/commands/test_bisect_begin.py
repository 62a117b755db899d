"""Mistakes of an operator of `inv bisect`, found before anything is started."""

from __future__ import annotations

import json

import pytest

from ci.bisect.nights import resolve_point
from ci.bisect.search import save
from ci.commands.bisect import bisect
from ci.commands.bisect_begin import begun
from ci.commands.bisect_flags import Bisect
from ci.errors import ExitCode, UserError
from ci.request import Request

ENDS = {"good": "0.27.1", "bad": "0.32.0"}
PERF = {
    "case_type": "performance",
    "tool": "vllm_bench",
    "model_path": "model",
    "dataset_path": "lamplighter/arithmetic",
    "num_prompts": 4,
    "max_out_len": 6,
    "batch_size": 4,
    "metrics": {"ttft_p99": {"baseline": 100, "threshold": 2}},
}


@pytest.fixture
def case(tmp_path):
    path = tmp_path / "case.yaml"
    written = {
        "test_name": "bisected",
        "model": "light",
        "num_nodes": 1,
        "npu_per_node": 0,
        "deployment": [{"server_cmd": "vllm serve light --port 8000"}],
        "benchmarks": {"perf": PERF, "more": PERF},
    }
    path.write_text(json.dumps(written), "utf-8")
    return path


@pytest.fixture
def run(case, tmp_path):
    def go(**flags):
        runs = str(tmp_path / "runs")
        usual = {"config": str(case), "local": True, "device": "cpu", "runs": runs, "check": "perf"}
        return bisect(Bisect(**(usual | flags)))

    return go


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"config": ""}, "name a case"),
        ({**ENDS, "times": "0"}, "--times 0: expected 1 to 64, or auto"),
        ({"good": "0.27.1"}, "--bad is missing"),
        ({"good": "0.27.1", "bad": "0.27.1"}, "there is nothing between"),
        ({"good": "0.27.2", "bad": "0.32.0"}, "did you mean '0.27.1'?"),
        ({"good": "0.2", "bad": "0.32.0"}, "several: 0.20.2, 0.23.0"),
        ({"good": "0.27.1", "bad": "0.33.0"}, "configs/versions.yaml has no cpu build"),
        ({**ENDS, "vllm": "0.30.0"}, "leave it out"),
        ({"axis": "moon"}, "choose one of vllm, case, host"),
        ({"axis": "host"}, "needs --cluster"),
        ({"axis": "case", "bad": "x"}, "is not in a repository of git"),
        ({"axis": "case", "good": "x"}, "is not in a repository of git"),
        ({**ENDS, "check": ""}, "choose one of perf, more, perf.ttft_p99, more.ttft_p99, start"),
        ({**ENDS, "check": "acc"}, "the case has no such check"),
        ({**ENDS, "certainty": "2"}, "expected 0.5 to 0.999"),
        ({**ENDS, "certainty": "much"}, "expected a number"),
        ({**ENDS, "loss": "-1"}, "expected more than 0"),
        ({**ENDS, "max_nights": 0}, "expected more than 0"),
        ({"wheels": "/nowhere", "vllm": "0.32.0"}, "there is no such folder"),
        ({"wheels": "/nowhere"}, "--wheels needs --vllm"),
        ({"wheels": "x", "points": "y"}, "give only one of them"),
        ({"resume": "nothing"}, "takes the folder of a bisection"),
    ],
)
def test_mistakes_of_an_operator(run, tmp_path, flags, message):
    with pytest.raises(UserError) as raised:
        run(**flags)
    assert message in str(raised.value)
    assert not (tmp_path / "runs").exists()


def test_a_damaged_state_is_told(run, tmp_path):
    folder = tmp_path / "runs" / "x"
    folder.mkdir(parents=True)
    (folder / "bisect.json").write_text('{"id": 1}')
    with pytest.raises(UserError, match=r"bisect.json is damaged: .*begin a new bisection"):
        run(resume=str(folder))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ({}, ("perf output_token_throughput", "of a loss of 5 and a noise of 2 (assumed)")),
        ({"check": "perf.ttft_p99"}, ("perf ttft_p99",)),
        ({"check": "start"}, ("whether the servers start and answer",)),
        ({"good": "0.32.0", "bad": "0.27.1"}, ("from 0.32.0 (good) to 0.27.1 (bad)",)),
    ],
)
def test_a_plan_starts_nothing(run, tmp_path, capsys, flags, told):
    assert run(**{**ENDS, **flags, "dry_run": True}) is ExitCode.PASS
    printed = capsys.readouterr().out
    for words in ("time   unknown: the history has no night of this case", *told):
        assert words in printed
    assert not (tmp_path / "runs").exists()


def test_the_state_keeps_no_secret(case, tmp_path, monkeypatch):
    setting = "benchmarks.perf.chat_template_kwargs={api_key: sk-0123456789abcdef}"
    monkeypatch.setattr("sys.argv", ["inv", "bisect", "--set", setting])
    flags = {"config": str(case), "local": True, "device": "cpu", "check": "perf", **ENDS}
    state = begun(Bisect(**flags, set=(setting,), no_reuse=True))
    assert "sk-0123456789abcdef" not in state.model_dump_json()
    folder = tmp_path / "runs" / state.id
    folder.mkdir(parents=True)
    save(folder, state)
    with pytest.raises(UserError, match="give the same again, with the secrets"):
        bisect(Bisect(resume=str(folder), dry_run=True, set=("a=1",)))


def test_points_have_no_secrets(run, tmp_path):
    path = tmp_path / "points.yaml"
    point = {"name": "a", "set": ["env_common.HF_TOKEN=hf_0123456789abcdefghij"]}
    path.write_text(json.dumps({"points": [point, {"name": "b"}]}))
    with pytest.raises(UserError, match="would keep"):
        run(points=str(path))


@pytest.mark.parametrize(
    ("flags", "hosts"),
    [
        ({"on": "h2"}, {"0.29.0": ["h2"]}),
        ({"on": "h3,h1", "axis": "host", "good": "h1", "bad": "h3"}, {"h1": ["h1"], "h3": ["h3"]}),
    ],
)
def test_nights_run_on_the_hosts_that_are_named(case, tmp_path, flags, hosts):
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("hosts: {h1: , h2: , h3: }\n")
    usual = {"config": str(case), "device": "cpu", "runs": str(tmp_path), "check": "perf"}
    given = Bisect(**(usual | ENDS | {"cluster": str(cluster)} | flags))
    state = begun(given)
    request = Request(**state.request, runs=str(tmp_path))
    points = {point.name: point for point in state.points}
    assert set(hosts) <= set(points)
    assert (flags.get("axis") == "host") == (set(points) == set(hosts))
    for name, expected in hosts.items():
        used, resolved = resolve_point(points[name], request, state.asked)
        assert [host.name for host in resolved.inputs.hosts] == expected
        assert (f"--on {flags['on']}" in " ".join(used.argv)) == ("axis" not in flags)


def test_a_host_that_is_nowhere_is_told(run, tmp_path):
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("hosts: {h1: , h2: , h3: }\n")
    where = {"local": False, "cluster": str(cluster), "on": "h9", "axis": "host"}
    with pytest.raises(UserError, match=r"--on h9: not in .*There are: h1, h2, h3"):
        run(**where)


@pytest.mark.parametrize("name", ["nope", "runs/nope"])
def test_a_search_that_is_nowhere_is_told(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as told:
        run(resume=name, runs="runs")
    assert str(told.value).startswith(f"{tmp_path}/runs/nope/bisect.json: No such file")
