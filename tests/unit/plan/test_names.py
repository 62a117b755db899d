"""Names of a case become names of processes: allowed, each once, and the same every time."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.case.load import parse
from ci.plan.build import build
from ci.plan.model import Preparation
from ci.plan.names import process_names, recipe_name
from ci.plan.on_paper import made_up_inputs
from ci.remote.names import INPUTS, LEASE, LONGEST, is_name
from ci.report.plan.text import as_text

SOUND = ["acc", "perf-1", "a_b", "_a", "7", "a.b", "A", "x" * LONGEST]
UNSOUND = ["acc+cot", "a+b", "éval", "e\u0301val", "数学", "x" * (LONGEST + 1), "+", "", ".a", "-a"]


@pytest.mark.parametrize("name", SOUND)
def test_a_name_that_is_allowed_stays(name):
    assert is_name(name)
    assert process_names([name]) == {name: name}


@pytest.mark.parametrize("name", [*UNSOUND, LEASE, INPUTS])
def test_any_other_becomes_one_that_is(name):
    process = process_names([name])[name]
    assert is_name(process)
    assert process not in {name, LEASE, INPUTS}


def test_what_is_left_of_a_name_can_be_read():
    assert process_names(["acc+cot"])["acc+cot"].startswith("acc-cot-")
    assert process_names(["éval"])["éval"].startswith("eval-")
    pinned = recipe_name("environment", "vllm-0.32.0+5c1f3a80")
    assert pinned.startswith("make-vllm-0.32.0-5c1f3a80")
    assert recipe_name("environment", "aisbench") == "make-aisbench"


def test_a_name_that_was_chosen_to_collide():
    made = process_names(["a+b"])["a+b"]
    longer = process_names(["a+b", made])
    assert longer[made] == made
    assert is_name(longer["a+b"])
    assert longer["a+b"] != made
    both = process_names(["server-0", "lease"], {"server-0", *process_names(["lease"]).values()})
    assert len({"server-0", "lease", *both.values()}) == 4


def test_an_environment_and_a_model_of_one_name():
    assert recipe_name("environment", "x") != recipe_name("model", "x")


NAMES = st.lists(st.one_of(st.sampled_from([*SOUND, *UNSOUND, LEASE]), st.text(max_size=8)))


@given(NAMES, st.sets(st.sampled_from(["server-0", "router", "acc", "make-aisbench"])))
def test_every_name_has_a_process_of_its_own(names, taken):
    found = process_names(names, taken)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(found)
    assert all(is_name(process) for process in found.values())
    assert not set(found.values()) & {*taken, LEASE, INPUTS}
    assert process_names(reversed(names), taken) == found


BENCHMARKS = [
    *("acc", "acc+cot", "a+b", "a-b", "éval", "lease", "inputs", "router", "server-0", "server-1"),
    *("mooncake-master", "make-aisbench", "make-model-m", "数学" * 40, "Acc"),
]


def planned(**more):
    """A plan of two servers with a router, whose benchmarks have names of all kinds."""
    entry = {"case_type": "accuracy", "dataset_path": "gsm8k", "max_out_len": 8, "batch_size": 1}
    document = {
        "test_name": "t",
        "model": "m",
        "num_nodes": 2,
        "npu_per_node": 0,
        "disaggregated_prefill": {"prefiller_host_index": [0], "decoder_host_index": [1]},
        "deployment": [{"server_cmd": "vllm serve m --port 8000"}] * 2,
        "benchmarks": dict.fromkeys(BENCHMARKS, entry | more),
    }
    (case,) = parse(json.dumps(document, ensure_ascii=False).encode(), "c.yaml")
    site = made_up_inputs(case)
    path = "/w/envs/aisbench"
    site.tools["aisbench"] = Preparation(
        "aisbench", site.hosts[0].name, "environment", path, "f", {}
    )
    return build(case, site)


def test_every_process_of_a_plan_has_a_name_of_its_own():
    plan = planned()
    names = [process.name for process in plan.processes]
    names += [item.process for item in plan.evaluations]
    names += [recipe_name(item.kind, item.name) for item in plan.preparations]
    assert len(names) == len(set(names)) == 3 + len(BENCHMARKS) + 1
    assert all(is_name(name) and name not in {LEASE, INPUTS} for name in names)


def test_the_plan_shows_the_folders_that_a_night_uses():
    plan = planned(tool="vllm_bench", case_type="performance", num_prompts=1)
    text = as_text(plan)
    for item in plan.evaluations:
        assert f"/inputs/{item.process}/" in text
