"""Test what differs around two runs: what is read of them, what is told, and in which order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stored_runs import evaluation, run_of, stored

from ci.history.differences import Difference, differences, sentence
from ci.history.surroundings import Surroundings, options_in, surroundings_of
from ci.judge.past import Conditions
from ci.record.stored import read_run

BASE = Surroundings(
    case="local",
    vllm="0.31.0",
    packages={"vLLM": ("vllm==0.31.0", "torch==2.6", "six==1"), "aisbench": ("six==1",)},
    flags={"server-0": {"": "vllm serve m", "--max-num-seqs": "16"}},
    variables={"server-0": {"A": "1"}},
    weights={"m": "aa"},
    settings={"acc": Conditions(model="m", tool="aisbench", tool_version="3.1", batch_size=8)},
    hosts=("a",),
    facts=({"driver": "580.1", "kernel": "6.1"},),
    lamplighter={"commit": "abc"},
)
NEW_VLLM = {"vLLM": ("vllm==0.32.0", "torch==2.7", "six==1"), "aisbench": ("six==1",)}
CHANGES = {
    "nothing": ({}, []),
    "vLLM, and its packages with it": (
        {"vllm": "0.32.0", "packages": NEW_VLLM},
        [("vLLM", "0.31.0 → 0.32.0; torch 2.6 → 2.7")],
    ),
    "packages of vLLM alone": (
        {"packages": {"vLLM": ("vllm==0.31.0", "six==1"), "aisbench": ("six==1",)}},
        [("packages of vLLM", "- torch 2.6")],
    ),
    "packages that one run does not know": ({"packages": {}}, []),
    "weights": ({"weights": {"m": "bb"}}, [("weights", "m aa → bb")]),
    "weights of another name": ({"weights": {"n": "bb"}}, []),
    "a flag": (
        {
            "flags": {
                "server-0": {"": "vllm serve m", "--max-num-seqs": "32", "--enforce-eager": ""}
            }
        },
        [("flags", "server-0: --max-num-seqs 16 → 32; server-0: + --enforce-eager")],
    ),
    "a server": (
        {"flags": {**BASE.flags, "server-1": {}}},
        [("flags", "+ server-1")],
    ),
    "flags that one run does not know": ({"flags": {}}, []),
    "a variable": (
        {"variables": {"server-0": {"B": "2"}}},
        [("environment variables", "server-0: - A 1; server-0: + B 2")],
    ),
    "the case": ({"case": "other"}, [("case", "local → other")]),
    "settings": (
        {"settings": {"acc": replace(BASE.settings["acc"], tool_version="3.2", batch_size=4)}},
        [("settings of acc", "version of the tool 3.1 → 3.2; batch_size 8 → 4")],
    ),
    "a benchmark that only one run has": ({"settings": {}}, []),
    "a tool": (
        {"packages": {**BASE.packages, "aisbench": ("six==2",)}},
        [("packages of aisbench", "six 1 → 2")],
    ),
    "a driver": (
        {"facts": ({"driver": "580.2", "kernel": "6.1"},)},
        [("driver", "580.1 → 580.2 on a")],
    ),
    "a fact that only one run has": ({"facts": ({"kernel": "6.1", "CANN": "8"},)}, []),
    "the host, and what comes with it": (
        {"hosts": ("b",), "facts": ({"driver": "580.2", "kernel": "6.1"},)},
        [("hosts", "a → b; driver 580.1 → 580.2")],
    ),
    "this project": ({"lamplighter": {"commit": "def"}}, [("Lamplighter", "commit abc → def")]),
    "all of it, nearest first": (
        {
            "vllm": "0.32.0",
            "weights": {"m": "bb"},
            "flags": {"server-0": {}},
            "variables": {"server-0": {"A": "2"}},
            "settings": {"acc": Conditions(model="m", tool="lm_eval")},
            "packages": NEW_VLLM | {"aisbench": ("six==2",)},
            "facts": ({"driver": "580.2", "kernel": "6.2"},),
            "lamplighter": {},
        },
        [
            *("vLLM", "weights", "flags", "environment variables", "settings of acc"),
            *("packages of aisbench", "driver", "kernel", "Lamplighter"),
        ],
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs(name):
    changes, expected = CHANGES[name]
    found = differences(BASE, replace(BASE, **changes))
    if name.startswith("all"):
        assert [each.variable for each in found] == expected
    else:
        assert [(each.variable, each.text) for each in found] == expected


def test_the_same_change_of_several_processes_is_told_once():
    before = replace(BASE, flags={"s-0": {"-a": "1"}, "s-1": {"-a": "1"}, "s-2": {"-a": "1"}})
    after = replace(BASE, flags={"s-0": {"-a": "2"}, "s-1": {"-a": "1"}, "s-2": {"-a": "2"}})
    (found,) = differences(before, after)
    assert found.parts == ("s-0, s-2: -a 1 → 2",)


def test_many_changes_and_long_values_are_shortened():
    before = replace(BASE, variables={"s": {str(n): "x" * 200 for n in range(9)}})
    (found,) = differences(before, replace(before, variables={"s": {}}))
    assert found.text.endswith("…; and 5 more")
    assert len(found.parts) == 9


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("1", "2", "1 → 2"),
        ("x" * 90, "2", f"{'x' * 80}… → 2"),
        # What both begin with tells nothing.
        (f"{'x' * 90}1yz", f"{'x' * 90}2yz", f"…{'x' * 20}1yz → …{'x' * 20}2yz"),
        ("x" * 90, f"{'x' * 90} --eager", f"…{'x' * 20} → …{'x' * 20} --eager"),
        (f"{'x' * 90}1{'y' * 90}", "x" * 91, f"…{'x' * 20}1{'y' * 58}… → …{'x' * 21}"),
    ],
)
def test_of_long_values_the_part_that_differs_is_told(old, new, told):
    before, after = (replace(BASE, variables={"s": {"A": each}}) for each in (old, new))
    (found,) = differences(before, after)
    assert found.text == f"s: A {told}"


def test_the_sentence_says_whether_one_variable_differs_or_several():
    one, other = Difference("vLLM", ("a → b",)), Difference("flags", ("x",))
    assert sentence(()).startswith("No known variable differs: ")
    assert sentence((one,)) == (
        "One variable differs, vLLM: a difference of figures is due to it, or to noise."
    )
    assert sentence((one, other)) == (
        "2 variables differ: vLLM, flags. A difference of figures cannot be attributed to one of "
        "them."
    )


def test_the_options_of_a_command_line():
    argv = ["vllm", "serve", "m", "--port", "1", "--x=a=b", "-tp", "2", "--eager", "--x", "c d"]
    assert options_in(argv) == {
        "": "vllm serve m",
        "--port": "1",
        "--x": "a=b c d",
        "-tp": "2",
        "--eager": "",
    }
    assert options_in(["p", "--rank", "-1"]) == {"": "p", "--rank": "-1"}


PLAN = {
    "hosts": [{"name": "node-a", "address": "10.0.0.1", "interface": "eth0", "workspace": "/ws"}],
    "services": [{"name": "store", "argv": ["/ws/bin/store"], "env": {}}],
    "servers": [
        {
            "name": "server-0",
            "argv": ["vllm", "serve", "/ws/models/m", "--host", "10.0.0.1"],
            "env": {"NCCL_SOCKET_IFNAME": "eth0", "A": 1},
        }
    ],
    "router": None,
}


def test_what_surrounds_a_run_is_read_from_its_folder(tmp_path):
    facts = {
        "cpu": "EPYC",
        "kernel": "6.1",
        "cann": None,
        "cores": 64,
        "accelerators": [{"kind": "cuda", "name": "H100", "driver": "580.1"}] * 2,
        "weights": {"/ws/models/m": {"fingerprint": "aa"}, "/n": None},
    }
    environments = {
        "node-a": {
            "vllm-0.32.0": {"version": "0.32.0", "packages": 1, "hash": "h", "list": "e/v.txt"},
            "aisbench": {"version": "3", "packages": 1, "hash": "h", "list": "e/none.txt"},
            "lm_eval": {"version": "unknown", "packages": None, "hash": None, "list": None},
        }
    }
    run = run_of(0, evaluation(0), hosts={"node-a": facts}, environments=environments)
    folder = stored(tmp_path, run)
    (folder / "e").mkdir()
    (folder / "e" / "v.txt").write_text("six==1\nvllm==0.32.0\n")
    (folder / "plan.json").write_text(json.dumps(PLAN))
    found = surroundings_of(read_run(folder))
    assert (found.case, found.vllm, found.hosts) == ("local", "0.32.0+cpu", ("node-a",))
    assert found.packages == {"vLLM": ["six==1", "vllm==0.32.0"]}
    assert found.flags == {
        "store": {"": "<workspace 0>/bin/store"},
        "server-0": {"": "vllm serve <workspace 0>/models/m", "--host": "<address 0>"},
    }
    assert found.variables["server-0"] == {"NCCL_SOCKET_IFNAME": "<interface 0>", "A": "1"}
    assert found.weights == {"m": "aa"}
    assert found.settings.keys() == {"acc"}
    assert found.facts == (
        {
            "driver": "580.1",
            "devices": "2 × H100",
            "kernel": "6.1",
            "CPU": "EPYC",
            "cores": "64",
        },
    )
    assert found.lamplighter == {"commit": "abc"}
    (note,) = found.notes
    assert note.startswith(f"{folder / 'e/none.txt'} cannot be read, so the packages of aisbench")


def test_the_folder_of_vllms_environment_differs_with_its_version_alone(tmp_path):
    around = []
    for night, version in enumerate(("0.30.0", "0.32.0+1a2b3c4d")):
        bin_ = f"/ws/envs/vllm-{version}/bin"
        router = {"name": "router", "argv": [f"/ws/envs/vllm-router-{night}/bin/r"], "env": {}}
        server = {"name": "s", "argv": [f"{bin_}/vllm", "serve"], "env": {"PATH": f"{bin_}:$PATH"}}
        folder = stored(tmp_path, run_of(night))
        plan = PLAN | {"services": [], "servers": [server], "router": router}
        (folder / "plan.json").write_text(json.dumps(plan))
        around.append(surroundings_of(read_run(folder)))
    assert around[0].flags["s"] == {"": "<workspace 0>/envs/<vLLM>/bin/vllm serve"}
    found = next(each for each in differences(*around) if each.variable == "flags")
    assert "environment variables" not in {each.variable for each in differences(*around)}
    assert found.parts == (
        "router: <workspace 0>/envs/vllm-router-0/bin/r → <workspace 0>/envs/vllm-router-1/bin/r",
    )


@pytest.mark.parametrize(
    "plan", [None, "{", "[]", '{"servers": {"a": 1}, "hosts": 3}', '{"servers": [1, {"argv": 2}]}']
)
def test_a_plan_that_cannot_be_read_is_a_note_or_empty(tmp_path, plan):
    folder = stored(tmp_path, run_of(0))
    if plan is not None:
        (folder / "plan.json").write_text(plan)
    found = surroundings_of(read_run(folder))
    assert not any(found.flags.values())
    assert len(found.notes) == (plan in {None, "{"})
