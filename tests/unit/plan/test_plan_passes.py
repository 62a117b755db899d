"""Benchmarks that a night asks several times → the processes of their passes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ci.case.load import parse
from ci.case.repeats import Passes
from ci.errors import UserError
from ci.plan.build import build
from ci.plan.evaluations import job_of
from ci.plan.on_paper import made_up_inputs
from ci.plan.passes import in_passes
from ci.remote.names import is_name
from ci.report.plan.text import as_text, as_values
from ci.tools.model import Dataset
from ci.tools.registry import TOOLS

CASE = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment: [{server_cmd: vllm serve m --port 8000}]
benchmarks:
"""


def plan_of(passes: dict[str, Passes], **keys: object):
    given = {"case_type": "accuracy", "dataset_path": "gsm8k", "max_out_len": 8, "batch_size": 1}
    entries = (f"  {name}: {json.dumps(given | keys)}\n" for name in passes)
    (case,) = parse((CASE + "".join(entries)).encode(), "c.yaml")
    datasets = {name: Dataset("gsm8k", "/data", "gsm8k", 1319) for name in passes}
    inputs = replace(made_up_inputs(case), datasets=datasets, passes=passes)
    return build(case, inputs)


def jobs_of(tool: str, **keys: object):
    (evaluation,) = plan_of({"acc": Passes(3)}, tool=tool, **keys).evaluations
    return [replace(job_of(each, "/f"), vllm="0.32.0") for each in in_passes(evaluation)]


def test_each_pass_is_a_process_with_a_salt_of_its_own():
    (evaluation,) = plan_of({"acc": Passes(3)}).evaluations
    passes = in_passes(evaluation)
    assert [each.process for each in passes] == ["acc", "acc-pass-2", "acc-pass-3"]
    salts = [job_of(each, "/f").cache_salt for each in passes]
    assert salts == ["", "acc-pass-2", "acc-pass-3"]
    again = replace(evaluation, process="acc-again-1", repeat=1)
    salts = [job_of(each, "/f").cache_salt for each in in_passes(again)]
    assert salts == ["acc-again-1", "acc-again-1-pass-2", "acc-again-1-pass-3"]


def test_one_pass_is_the_evaluation_itself():
    (evaluation,) = plan_of({"acc": Passes(1)}).evaluations
    assert in_passes(evaluation) == (evaluation,)


# What the requests of each pass have as their seed; lm-eval sends 1234 where nothing is given.
@pytest.mark.parametrize(
    ("tool", "seed", "seeds"),
    [
        ("aisbench", None, [None, None, None]),
        ("aisbench", 7, [7, 8, 9]),
        ("evalscope", None, [None, None, None]),
        ("evalscope", 7, [7, 8, 9]),
        ("lm_eval", None, [None, 1235, 1236]),
        ("lm_eval", 7, [7, 8, 9]),
        ("lm_eval", 0, [0, 1, 2]),
    ],
)
def test_no_two_passes_have_the_same_seed(tool, seed, seeds):
    commands = [TOOLS[tool].command(job) for job in jobs_of(tool, seed=seed, temperature=0.7)]
    assert [command.sampling.get("seed") for command in commands] == seeds
    for command, own in zip(commands, seeds, strict=True):
        text = " ".join((*command.argv, *command.files.values()))
        assert own is None or any(f"{quote}seed{quote}: {own}" in text for quote in "\"'")


def test_the_prompts_of_a_speed_stay_the_same_but_for_their_salt():
    keys = {"case_type": "performance", "dataset_path": "random", "num_prompts": 8}
    jobs = jobs_of("vllm_bench", **keys)
    commands = [TOOLS["vllm_bench"].command(job).argv for job in jobs]
    assert [argv[argv.index("--seed") + 1] for argv in commands] == ["0", "0", "0"]
    bodies = [argv[argv.index("--extra-body") + 1] for argv in commands[1:]]
    assert [json.loads(body) for body in bodies] == [
        {"cache_salt": "acc-pass-2"},
        {"cache_salt": "acc-pass-3"},
    ]
    assert "--extra-body" not in commands[0]
    # 0.11.0 cannot send a salt: other prompts keep the prefix cache from answering.
    old = [TOOLS["vllm_bench"].command(replace(job, vllm="0.11.0")).argv for job in jobs]
    assert not any("--extra-body" in argv for argv in old)
    assert [argv[argv.index("--seed") + 1] for argv in old] == ["0", "1", "2"]


def test_a_name_that_a_pass_would_have_is_refused():
    names = {"acc": Passes(2), "acc-pass-2": Passes(1)}
    with pytest.raises(UserError, match=r"c.yaml: benchmarks.acc: the process of a pass would be"):
        plan_of(names)
    plan_of(names | {"acc": Passes(1)})
    plan_of({"acc-pass-3": Passes(1), "acc": Passes(2)})


def test_a_long_name_stays_the_name_of_a_process():
    name = "a" * 100
    (evaluation,) = plan_of({name: Passes(12)}).evaluations
    names = [each.process for each in in_passes(evaluation)]
    assert len(set(names)) == 12
    assert all(map(is_name, names))


def test_the_plan_shows_the_passes():
    plan = plan_of({"acc": Passes(4, auto=True), "once": Passes(1)})
    text = as_text(plan)
    assert (
        "acc with aisbench: 1319 items of gsm8k, accuracy, no baseline yet, 4 passes (auto):"
        in (text)
    )
    assert "once with aisbench: 1319 items of gsm8k, accuracy, no baseline yet:" in text
    assert text.count("# Pass 1 of 4; the others have folders and salts of their own.") == 1
    acc, once = as_values(plan)["benchmarks"]
    assert (acc["passes"], once["passes"]) == (4, 1)
    assert acc["processes"] == ["acc", "acc-pass-2", "acc-pass-3", "acc-pass-4"]
    assert as_values(plan)["benchmarks"][1]["repeats"] == "1"


def test_what_auto_could_not_choose_is_a_warning():
    plan = plan_of({"acc": Passes(auto=True, doubt="no number")})
    assert [str(each) for each in plan.warnings] == [
        "c.yaml:1:1: benchmarks.acc.repeats: no number"
    ]
    assert "  warning    c.yaml:1:1: benchmarks.acc.repeats: no number" in as_text(plan)
