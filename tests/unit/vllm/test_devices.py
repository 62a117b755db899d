"""How many devices a server computes on, and which ones it is shown, wherever that is asked."""

from __future__ import annotations

import json

import pytest

from ci.case.load import parse
from ci.check.lint import examine
from ci.doctor.needs import devices_on
from ci.plan.build import build
from ci.plan.on_paper import made_up_inputs
from ci.report.plan.text import as_text
from ci.vllm.command_line import has, json_option, number
from ci.vllm.devices import SIZES, VISIBLE, devices_of, indices, uses_ray, visible

GPU = "GPU-5e2c1d0a-7f3b-4c5d-9e8f-0123456789ab"
MIG = "MIG-92f3d0aa-1c2b-5d4e-8f90-abcdefabcdef"
OLD_MIG = "MIG-GPU-5e2c1d0a/1/0"
SHOWN = [
    ("0", ("0",)),
    ("0,1", ("0", "1")),
    (" 1 , 0 ", ("1", "0")),
    ("00,01", ("0", "1")),
    ("0,0", ("0",)),
    ("", ()),
    (" ", ()),
    (",", ()),
    ("-1", ()),
    ("NoDevFiles", ()),
    ("none", ()),
    ("0,-1,1", ("0",)),
    ("0,,1", ("0",)),
    ("1,NoDevFiles", ("1",)),
    (GPU, (GPU,)),
    ("GPU-5e2c", ("GPU-5e2c",)),
    (f"{GPU},1", (GPU, "1")),
    (MIG, (MIG,)),
    (OLD_MIG, (OLD_MIG,)),
    (f"{MIG},{OLD_MIG}", (MIG, OLD_MIG)),
    ("GPU-", ()),
    ("GPU", ()),
    ("²", ()),
    ("0x1", ()),
    ("99999", ()),
]


@pytest.mark.parametrize(("text", "devices"), SHOWN, ids=[repr(text) for text, _ in SHOWN])
@pytest.mark.parametrize("kind", VISIBLE)
def test_which_devices_a_server_is_shown(kind, text, devices):
    env = {VISIBLE[kind]: text}
    assert visible(env) == visible(env, kind) == visible(env, "cpu") == devices
    assert visible(env, {"cuda": "ascend", "ascend": "cuda"}[kind]) is None
    assert set(indices(devices)) == {int(one) for one in devices if one.isdecimal()}


def test_nothing_said_is_all():
    assert visible({}) is None
    assert visible({"ASCEND_VISIBLE_DEVICES": "0-3"}) is None


def single(env, words=()):
    """A case of one server on one host, in the dialect that counts devices itself."""
    entry = {"name": "one", "model": "m", "envs": env, "server_cmd": list(words)}
    return parse(json.dumps({"test_cases": [entry]}).encode(), "c.yaml")[0]


def deployed(env, npus=4, device="cuda", words=""):
    """A case of one server on one host."""
    document = {
        "test_name": "t",
        "model": "m",
        "num_nodes": 1,
        "npu_per_node": npus,
        "device": device,
        "deployment": [{"server_cmd": f"vllm serve m {words}".strip(), "envs": env}],
    }
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (GPU, 1),
        (f"{GPU},{MIG}", 2),
        ("", 1),
        ("-1", 1),
        ("NoDevFiles", 1),
        ("0,1", 2),
        ("3", 4),
        ("92", 93),
    ],
)
def test_how_many_devices_a_host_has_to_have(text, count):
    assert single({"CUDA_VISIBLE_DEVICES": text}).npu_per_node == count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GPU, f"device {GPU}"),
        ("0,1,2", "devices 0-2"),
        ("-1", "no device"),
        ("", "no device"),
        ("NoDevFiles", "no device"),
    ],
)
def test_the_picture(text, words):
    (case,) = parse(deployed({"CUDA_VISIBLE_DEVICES": text}), "c.yaml")
    assert words in as_text(build(case, made_up_inputs(case)))


@pytest.mark.parametrize(
    ("text", "count", "chosen"),
    [
        (f"{GPU},{MIG}", 2, ()),
        ("1,0", 2, (0, 1)),
        (f"{GPU},1", 2, (1,)),
        ("-1", 0, ()),
        ("", 0, ()),
        ("NoDevFiles", 0, ()),
    ],
)
def test_what_the_doctor_looks_for(text, count, chosen):
    (case,) = parse(deployed({"CUDA_VISIBLE_DEVICES": text}), "c.yaml")
    plan = build(case, made_up_inputs(case))
    needed = devices_on(plan, plan.leader, None, "", {})
    assert (needed.count, needed.chosen) == (count, chosen)


def found(env, words="", npus=4):
    return [
        (one.rule, one.problem.message)
        for one in examine(deployed(env, npus=npus, words=words), "c.yaml")
        if "device" in one.rule
    ]


@pytest.mark.parametrize("text", ["", "-1", "NoDevFiles"])
def test_a_server_that_sees_no_device(text):
    env = {"CUDA_VISIBLE_DEVICES": text}
    assert found(env) == [("too-few-devices", "needs 1 device, but it sees none; let it see more")]
    assert found(env, "-tp 2") == [
        (
            "too-few-devices",
            "needs 2 devices (--tensor-parallel-size 2), but it sees none; lower one",
        )
    ]
    assert found(env, npus=0) == []


def test_devices_that_are_named_by_uuid():
    assert found({"CUDA_VISIBLE_DEVICES": f"{GPU},{MIG}"}, "-tp 2") == []
    assert found({"CUDA_VISIBLE_DEVICES": GPU}, "-tp 2") == [
        ("too-few-devices", "needs 2 devices (--tensor-parallel-size 2), but it sees 1; lower one")
    ]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("", 1),
        ("-tp 4", 4),
        ("--tensor-parallel-size=4", 4),
        ("--tensor_parallel_size 4 -pp 2", 8),
        ("-tp 2 -pcp 3", 6),
        ("-tp 2 -tp 4", 4),
        ("-dp 2 -tp 2", 4),
        ("-dp 4 -dpl 1 -tp 2", 2),
        ("-dp 4 -dpn 1 -tp 2", 2),
        ("-dp 4 -dpl 0 -tp 2", 2),
        ("-tp 8 --nnodes 2", 4),
        ("-tp 3 -n 2", 2),
        ("-tp 8 -dp 2 -dpl 1 --nnodes 2", 8),
        ("-tp 8 -dp 2 --nnodes 4", 4),
        ("-tp x", 1),
        ("-tp 0", 1),
        ("-dcp 4 -tp 4", 4),
    ],
)
def test_how_many_devices_a_server_computes_on(words, count):
    assert devices_of(words.split()) == count


def test_every_short_form_is_read():
    for name, option in SIZES.items():
        assert number([f"-{name}", "2"], option) == 2
    assert has(["-ep"], "--enable-expert-parallel")
    assert uses_ray(["-dpb", "ray"])
    assert uses_ray(["--distributed-executor-backend=ray"])
    assert not uses_ray(["-dpb", "mp"])


@pytest.mark.parametrize("text", ["", "x", "[1]", "null", "[" * 100_000, '"a"'])
def test_what_is_no_json_object_is_empty(text):
    assert json_option(["--kv-transfer-config", text], "--kv-transfer-config") == {}


def test_two_forms_of_one_flag_are_given_twice():
    said = [
        one.problem.message
        for one in examine(deployed({}, words="-tp 1 --tensor-parallel-size 2"), "c")
    ]
    assert any(message.startswith("-tp is given 2 times") for message in said)
