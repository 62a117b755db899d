"""Servers that share a host → the devices of each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plans import case_of, site_of
from plans import plan_of as plan_on

from ci.doctor.needs import devices_on
from ci.errors import CaseError
from ci.inventory.target import Target
from ci.inventory.this_machine import DEVICES
from ci.plan.build import build
from ci.report.plan.text import as_text
from ci.request import Request
from ci.resolve import resolve_case

CUDA, ASCEND = "CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES"
APART = "{prefiller_host_index: [%s], decoder_host_index: [%s]}"
HEAD = "-dp 2 -dpl 1 --data-parallel-address $MASTER_IP"


def servers_of(*arguments, device="cuda", npu_per_node=8, names=None, **keys):
    commands = [
        (f"vllm serve m --port {8000 + at} {words}", {"envs": env} if env else {})
        for at, (words, env) in enumerate(
            item if isinstance(item, tuple) else (item, "") for item in arguments
        )
    ]
    return plan_on(
        *commands,
        names=names or ("n",) * len(commands),
        device=device,
        npu_per_node=npu_per_node,
        **keys,
    )


def devices_in(plan, variable=CUDA):
    return [server.env.get(variable) for server in plan.servers]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("", ""), ["0", "1"]),
        (("-tp 2", "-tp 2"), ["0,1", "2,3"]),
        (("-tp 1", "--tensor-parallel-size=2"), ["0", "1,2"]),
        (("-tp 2", "-tp 2", "-tp 1"), ["0,1", "2,3", "4"]),
        (("-pp 2", "-tp 2 -pp 2"), ["0,1", "2,3,4,5"]),
        (("-dp 2 -tp 2", ""), ["0,1,2,3", "4"]),
        ((HEAD, f"--headless {HEAD} -dpr 1"), ["0", "1"]),
        (
            (
                "-dp 2 -dpl 0 --data-parallel-address $MASTER_IP",
                f"--headless {HEAD[:5]} -dpl 2 --data-parallel-address $MASTER_IP",
            ),
            [None, "0,1"],
        ),
        (("-tp 8",), [None]),
        # Someone else chooses the devices.
        ((("", f"{{{CUDA}: 3}}"), ("", f"{{{CUDA}: 1}}")), ["3", "1"]),
        ((("", f"{{{CUDA}: 0}}"), "-tp 2"), ["0", None]),
        (("", "-tp 16 --distributed-executor-backend ray"), [None, None]),
    ],
)
def test_each_server_of_a_host_gets_the_next_devices(arguments, expected):
    assert devices_in(servers_of(*arguments)) == expected


def test_prefill_has_its_devices_before_decode():
    plan = servers_of("-tp 2", "", "-tp 2", disaggregated_prefill=APART % ("1, 2", "0"))
    assert [server.role for server in plan.servers] == ["decode", "prefill", "prefill"]
    assert devices_in(plan) == ["3,4", "0", "1,2"]


@pytest.mark.parametrize(
    ("device", "cuda", "ascend"),
    [
        ("cuda", ["0", "1"], [None] * 2),
        ("ascend", [None] * 2, ["0", "1"]),
        ("cpu", *[[None] * 2] * 2),
    ],
)
def test_the_variable_is_that_of_the_kind(device, cuda, ascend):
    plan = servers_of("", "", device=device)
    assert (devices_in(plan, CUDA), devices_in(plan, ASCEND)) == (cuda, ascend)
    assert device in DEVICES


def test_servers_on_hosts_of_their_own_see_all_devices():
    plan = servers_of("-tp 2", "-tp 2", names=("a", "b"))
    assert devices_in(plan) == [None, None]


def test_a_script_knows_its_devices_itself():
    case = case_of(
        ("bash /x/run.sh", {"server_port": 8000}),
        ("bash /x/run.sh", {"server_port": 8001}),
        device="cuda",
    )
    assert devices_in(build(case, site_of(("n", "n")))) == [None, None]


def test_too_few_devices_name_every_server():
    with pytest.raises(CaseError) as caught:
        servers_of("-tp 2", "-tp 2", "", npu_per_node=4)
    [problem] = caught.value.problems
    assert (problem.file, problem.line, problem.key) == ("c.yaml", 9, "deployment[2]")
    assert problem.message == (
        "the servers on n need 5 cuda devices (server-0 2, server-1 2, server-2 1), but "
        "npu_per_node is 4; lower their parallel sizes, start fewer of them, or use more hosts"
    )
    assert devices_in(servers_of("-tp 2", "-tp 2", "", npu_per_node=5)) == ["0,1", "2,3", "4"]
    assert devices_in(servers_of("-tp 2", "-tp 2", "", npu_per_node=0)) == ["0,1", "2,3", "4"]


def test_the_kind_of_the_host_counts_before_that_of_the_case():
    case = case_of("vllm serve m --port 1", "vllm serve m --port 2", device="cuda")
    inputs = site_of(("n", "n"))
    plan = build(case, replace(inputs, devices={"n": "ascend"}))
    assert (devices_in(plan, CUDA), devices_in(plan, ASCEND)) == ([None] * 2, ["0", "1"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            (("", f"{{{CUDA}: 0}}"), "", ""),
            (
                f"c.yaml:9:5: deployment[2]: on n, server-0 sets {CUDA} and may use the same "
                "devices as server-1, server-2 without it; set it for all of them, or for none: "
                "then each gets devices of its own"
            ),
        ),
        (
            (("", f"{{{CUDA}: '0,1'}}"), ("", f"{{{CUDA}: '1,2'}}")),
            (
                "c.yaml:8:5: deployment[1]: on n, server-0 and server-1 both use device 1; give "
                f"each its own with {CUDA}"
            ),
        ),
        ((("", f"{{{CUDA}: 0}}"), ("", f"{{{CUDA}: 1}}")), ""),
        (("", ""), ""),
    ],
)
def test_servers_that_may_use_the_same_device_are_a_warning(arguments, expected):
    plan = servers_of(*arguments)
    assert [str(warning) for warning in plan.warnings] == ([expected] if expected else [])
    assert (f"  warning    {expected}" in as_text(plan)) == bool(expected)


def test_the_doctor_examines_exactly_these_devices():
    plan = servers_of("-tp 2", "-tp 3")
    needed = devices_on(plan, "n", Target("n", "n"), "", {})
    assert (needed.kind, needed.count, needed.chosen) == ("cuda", 5, (0, 1, 2, 3, 4))


@pytest.mark.parametrize(("flag", "variable"), [("cuda", CUDA), ("ascend", ASCEND)])
def test_the_flag_device_chooses_the_variable_on_this_machine(flag, variable):
    case = case_of("vllm serve m --port 1 -tp 2", "vllm serve m --port 2", device="cpu")
    plan = resolve_case(case, Request("c.yaml", local=True, device=flag)).plan
    assert [server.host for server in plan.servers] == ["localhost", "localhost"]
    assert devices_in(plan, variable) == ["0,1", "2"]


def test_where_nobody_names_the_kind_it_is_that_of_this_machine(monkeypatch):
    monkeypatch.setattr("ci.resolve.device_of", lambda chosen: chosen or "cuda")
    commands = ("vllm serve m --port 1", "vllm serve m --port 2")
    installed = resolve_case(case_of(*commands, vllm="0.32.0"), Request("c.yaml", local=True)).plan
    assert devices_in(installed) == ["0", "1"]
    own = resolve_case(case_of(*commands), Request("c.yaml", local=True)).plan
    assert devices_in(own) == [None, None]


NIXL = """--kv-transfer-config \'\'{"kv_connector": "NixlConnector"}\'\'"""
SIDE = "{VLLM_NIXL_SIDE_CHANNEL_PORT: 5600}"
HYBRID = "-dp 2 -dpl 1 --data-parallel-hybrid-lb --data-parallel-address $MASTER_IP"


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (((NIXL, SIDE), (NIXL, SIDE)), True),
        (((NIXL, SIDE), (NIXL, "{VLLM_NIXL_SIDE_CHANNEL_PORT: 5601}")), False),
        (((f"{HYBRID} {NIXL}", SIDE), (f"{HYBRID} -dpr 1 {NIXL}", SIDE)), False),
        ((("", SIDE), ("", SIDE)), False),
    ],
)
def test_two_servers_of_a_machine_cannot_share_the_port_of_nixl(arguments, refused):
    if not refused:
        assert devices_in(servers_of(*arguments)) == ["0", "1"]
        return
    with pytest.raises(CaseError, match="server-1 and server-0 both use port 5600 of n"):
        servers_of(*arguments)


def test_two_servers_of_a_machine_cannot_share_a_port():
    case = case_of("vllm serve m --port 8000", "vllm serve m --port 8000", device="cuda")
    with pytest.raises(CaseError, match="server-1 and server-0 both use port 8000 of localhost"):
        resolve_case(case, Request("c.yaml", local=True))
