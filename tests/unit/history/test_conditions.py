"""Test what the history takes from a record: settings, hosts, devices, versions, failures."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stored_runs import evaluation, run_of, throughput
from tool_outputs import CAPTURED, captured, edited, job, with_value

from ci.case.benchmark import Benchmark
from ci.history.conditions import overrides_of, short_name
from ci.history.hosts import devices_of, environment_of, hosts_of, vllm_of
from ci.history.night import figures_of, night_of, passes_of, questions_of
from ci.tools import aisbench, vllm_bench
from ci.tools.failed import failed_requests
from ci.tools.model import Item

LOCAL = {"name": "localhost", "address": "localhost"}
GPU = {"kind": "cuda", "name": "NVIDIA H100"}


def conditions(entry=None, **changes):
    (figure, *_) = figures_of(night_of(run_of(0, entry or evaluation(), **changes), {}))
    return figure.conditions


def test_the_settings_of_an_evaluation_are_its_conditions():
    settings = {"tokenizer": "/ws/models/Qwen3", "request_conf": "r", "dataset_conf": "d"}
    found = conditions(evaluation(settings=settings))
    assert (found.model, found.tool, found.tool_version) == ("qwen", "aisbench", "3.1")
    assert (found.dataset, found.dataset_digest, found.made) == ("words", "0123456789abcdef", "")
    assert (found.num_prompts, found.max_out_len, found.temperature) == (4, 64, 0.6)
    assert json.loads(found.sampling) == {"stop": ["\n"]}
    assert (found.tokenizer, found.request_conf, found.dataset_conf) == ("Qwen3", "r", "d")
    assert (found.batch_size, found.request_rate, found.overrides) == (8, 0.0, ())


def test_a_tool_of_vllm_has_no_version_of_its_own():
    assert conditions(evaluation(tool="vllm_bench")).tool_version is None


def test_the_options_of_a_tool_count_where_its_prompts_have_no_digest():
    argv = ["/envs/vllm/bin/vllm", "bench", "--base-url", "http://a:1/v1", "--random-input-len"]
    entry = throughput(0, settings={"argv": [*argv, "128", "--model", "/m/q", "--ignore-eos"]})
    expected = ("bench", "--random-input-len", "128", "--ignore-eos")
    assert conditions(entry).arguments == expected
    items = {entry["items"]: (Item("0", "digest"),)}
    (figure, *_) = figures_of(night_of(run_of(0, entry), items))
    assert figure.conditions.arguments == ()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("smollm2", "smollm2"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("/ws/models/Qwen3-8B/", "Qwen3-8B"),
        ("~/models/q", "q"),
        ("/hf/hub/models--Qwen--Qwen3/snapshots/abc", "Qwen/Qwen3@abc"),
        ("", ""),
    ],
)
def test_a_model_has_the_same_name_on_every_machine(path, name):
    assert short_name(path) == name


@pytest.mark.parametrize(
    ("command", "overrides"),
    [
        ("inv nightly --config local.yaml", ()),
        ("inv nightly --set b=2 --config x --set=a='1 2'", ("a=1 2", "b=2")),
        ("inv nightly --set benchmarks.acc.num_prompts=2 --set test_cases.0.benchmarks.p.x=1", ()),
        ("inv nightly --set", ()),
        ("inv nightly 'unclosed", ()),
    ],
)
def test_the_changes_of_the_case_on_the_command_line(command, overrides):
    assert overrides_of(command) == overrides


def test_the_local_machine_has_its_own_name():
    facts = {"localhost": {"hostname": "bench", "cpu": "EPYC"}}
    run = run_of(0, targets=[LOCAL], hosts=facts)
    assert hosts_of(run) == ("bench",)
    assert hosts_of(run_of(0, targets=[LOCAL], hosts={})) == ("localhost",)
    assert hosts_of(run_of(0, targets=[LOCAL], hosts={"localhost": {"hostname": 3}})) == (
        "localhost",
    )
    two = [{"name": name, "address": name} for name in "ba"]
    assert hosts_of(run_of(0, targets=two, hosts={})) == ("b", "a")


DEVICES = {
    "none known": ({"targets": []}, ("", "")),
    "a CPU": ({}, ("cpu", "EPYC")),
    "GPUs": (
        {"hosts": {"node-a": {"accelerators": [GPU, GPU]}}, "versions": {}},
        ("cuda", "NVIDIA H100"),
    ),
    "GPUs that a build for CPUs does not use": (
        {"hosts": {"node-a": {"accelerators": [GPU], "cpu": "EPYC"}}},
        ("cpu", "EPYC"),
    ),
    "a kind of the cluster file": (
        {
            "targets": [
                {"name": "a", "address": "a", "accelerator": {"kind": "ascend", "count": 8}}
            ],
            "versions": {},
        },
        ("ascend", ""),
    ),
    "facts that no host sends": (
        {"hosts": {"node-a": {"accelerators": {"a": 1}, "cpu": ["x"]}}},
        ("cpu", ""),
    ),
    "more of them": ({"hosts": {"node-a": {"accelerators": [3, "x"]}}}, ("cpu", "")),
}


@pytest.mark.parametrize("name", DEVICES)
def test_the_kind_and_the_names_of_the_devices(name):
    changes, expected = DEVICES[name]
    assert devices_of(run_of(0, **changes)) == expected


def test_the_version_that_answered_counts_before_the_installed_one():
    assert vllm_of(run_of()) == "0.32.0+cpu"
    installed = run_of(versions={"vllm served": "unknown"})
    assert vllm_of(installed) == "0.32.0"
    assert vllm_of(run_of(versions={}, environments={})) == ""


def test_the_environment_is_that_of_vllm_alone():
    made = {"version": "1", "packages": 1, "list": None}
    by_name = {
        name: made | {"hash": name}
        for name in ("vllm", "vllm-router", "aisbench", "vllm-0.31.0-abc")
    }
    assert environment_of(run_of(environments={"a": by_name})) == "vllm+vllm-0.31.0-abc"


def test_a_night_that_is_not_judged_yet_has_no_outcome():
    (figure,) = figures_of(night_of(run_of(), {}, judged=False))
    assert (figure.outcome, figure.night) == ("", "")


def test_a_measurement_that_ended_early_and_was_not_whole():
    entry = evaluation(
        problems=["3 of 4 requests failed", "1 of 4 predictions were not successful"]
    )
    entry |= {"n_items": 1, "started_at": None, "ended_at": None}
    cause = {"kind": "NotReady", "message": "late"}
    (figure,) = figures_of(night_of(run_of(0, entry, cause=cause, outcome="unknown"), {}))
    assert (figure.failed, figure.missing, figure.n_items) == (3, 3, 1)
    assert (figure.ended_early, figure.night) == ("late", "unknown")
    assert figure.started_at == "2026-01-01T20:00:00.000Z"


def test_cut_and_empty_answers_are_counted():
    items = (Item("0", tokens=0), Item("1", finish_reason="length"), Item("2", tokens=3))
    entry = evaluation()
    (figure,) = figures_of(night_of(run_of(0, entry), {entry["items"]: items}))
    assert (figure.cut, figure.empty) == (1, 1)


def test_questions_are_the_same_in_whatever_order():
    items = (Item("1", "a"), Item("2", "b"), Item("10", None))
    assert questions_of(items) == questions_of(items[::-1])
    assert questions_of(items) != questions_of((Item("1", "b"), Item("2", "a"), Item("10", None)))
    assert questions_of(items) != questions_of(items[:2])


def test_passes_are_counted_unless_an_answer_is_neither_right_nor_wrong():
    assert passes_of("ab", [True, False]) == {"a": (1, 1), "b": (0, 1)}
    assert passes_of("aab", [True, False, True]) == {"a": (1, 2), "b": (1, 1)}
    assert passes_of("ab", [True, None]) is None
    assert passes_of("", []) is None


def refused(version):
    text = (CAPTURED / f"vllm_bench/{version}/refused/out/result.json").read_text("utf-8")
    output = captured("vllm_bench_performance")
    return replace(output, files={"out/result.json": text})


@pytest.mark.parametrize("version", ["0.11.0", "0.27.1", "0.32.0"])
def test_failed_requests_are_found_in_the_problems_of_vllm_bench(version):
    fields = job("vllm_bench", "performance").benchmark.model_dump() | {"max_out_len": 8}
    wanted = replace(job("vllm_bench", "performance", vllm=version), benchmark=Benchmark(**fields))
    assert failed_requests(vllm_bench.parse(wanted, refused(version)).problems) == 1


def test_failed_requests_are_found_in_the_problems_of_aisbench():
    output = captured("aisbench_accuracy")
    failed = {"out/x/predictions/served/words_failed.jsonl": '{"error_info": "404"}\n' * 2}
    result = aisbench.parse(job("aisbench"), replace(output, files={**output.files, **failed}))
    assert failed_requests(result.problems) == 2
    spoilt = edited(
        captured("aisbench_performance"),
        "served/words.json",
        with_value("Failed Requests", "total", value=1),
    )
    result = aisbench.parse(job("aisbench", "performance"), spoilt)
    assert failed_requests(result.problems) == 1
    assert failed_requests(["the summary has 2 rows"]) == 0
