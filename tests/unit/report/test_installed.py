"""Compare the packages of hosts and of nights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plans import plan_of, preparation, with_servers

from ci.doctor.checks import findings_of
from ci.doctor.installed import _current, _made, _own
from ci.doctor.packages import differences
from ci.plan.model import PATH_VLLM
from ci.record.fields import without_locks
from ci.record.model import EnvironmentChanges
from ci.report.installed import differences as between_nights
from ci.report.installed import sentence

PLAN = plan_of("vllm serve m", names="a")
ONE, TWO = ("six==1", "vllm==3"), ("six==2", "vllm==3")


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ({"a": {"e": ONE}, "b": {"e": ONE}}, None),
        ({"a": {"e": ONE}, "b": {"e": ONE[::-1]}}, None),
        ({"a": {"e": ONE}, "b": {"f": TWO}}, None),
        ({"a": {"e": ONE}, "b": {"e": None}}, None),
        ({"a": {"e": ONE}, "b": {}}, None),
        ({"a": {"e": ONE}, "b": {"e": TWO}}, "hosts differ: six 1 on a, 2 on b"),
        ({"a": {"e": TWO}, "b": {"e": ONE}, "c": {"e": ONE}}, "six 1 on b, c, 2 on a"),
        ({"a": {"e": ONE}, "b": {"e": ("vllm==3",)}}, "six 1 on a, none on b"),
        (
            {"a": {"e": ()}, "b": {"e": tuple(f"p{n}==1" for n in range(6))}},
            "p2 none on a, 1 on b; and 3 more packages",
        ),
    ],
)
def test_hosts_that_differ(listed, expected):
    findings = list(differences(listed))
    assert len(findings) == (expected is not None)
    for finding in findings:
        assert expected in finding.message
        assert (finding.severity, finding.subject) == ("error", "environment e")
        assert "remove envs/e in the workspace of " in finding.advice


def test_the_operators_own_vllm_may_have_other_packages_beside_it():
    (finding,) = differences({"a": {PATH_VLLM: ONE}, "b": {PATH_VLLM: TWO}})
    assert (finding.severity, finding.subject) == ("warning", "vllm on the PATH")


def test_the_doctor_compares_existing_environments():
    listed = {"a": {"e": ONE}, "b": {"e": TWO}}
    findings = findings_of(PLAN, {}, silent={}, pairs=(), targets={}, installed=listed)
    assert [finding.subject for finding in findings] == ["environment e"]


@pytest.mark.parametrize(
    ("argv", "env", "own"),
    [
        (("vllm", "serve"), {}, {PATH_VLLM: "vllm"}),
        (("vllm", "serve"), {"PATH": "/x"}, {PATH_VLLM: None}),
        (("/opt/v/bin/vllm", "serve"), {"PATH": "/x"}, {PATH_VLLM: "/opt/v/bin/vllm"}),
        (("/w/envs/vllm-1/bin/vllm", "serve"), {}, {}),
        (("./serve.sh",), {}, {}),
    ],
)
def test_which_vllm_a_host_uses(argv, env, own):
    plan = with_servers(PLAN, argv=argv, env=env)
    plan = replace(plan, preparations=(preparation("vllm-1", "a"),))
    assert _own(plan, "a") == own
    assert _own(plan, "b") == {}
    assert _made(plan, "a") == {"vllm-1": "/w/envs/vllm-1"}


@pytest.mark.parametrize(("fingerprint", "current"), [("f", True), ("old", False)])
def test_an_environment_that_will_be_rebuilt_is_not_compared(fingerprint, current):
    item = replace(preparation("e", "a"), fingerprint=fingerprint)
    facts = {"environments": {"e": {"fingerprint": "f", "packages": {}}}}
    assert bool(_current(replace(PLAN, preparations=(item,)), "a", facts)) == current


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"e": ["a==1"]}, {"e": ["a==1"]}, []),
        ({"e": ["a==1"]}, {"e": ["a==2"]}, ["e: a 1 → 2"]),
        ({"e": ["a==1"]}, {"e": ["a==1"], "f": ["b==1"]}, []),
        ({"e": ["a==1"], "f": ["b==1"]}, {"e": ["a==1"]}, []),
        ({"v1": ["a==1"]}, {"v2": ["a==2"]}, ["v1 → v2"]),
    ],
)
def test_changes_between_nights(before, now, expected):
    assert list(between_nights(before, now)) == expected


def test_the_changes_in_one_line():
    shown = ("e: a 1 → 2",)
    changed = EnvironmentChanges(since="r1", count=4, shown=shown, all="environments/x")
    assert sentence(changed) == (
        "since the last night of this case (r1): e: a 1 → 2; 3 more in environments/x"
    )
    assert sentence(changed.model_copy(update={"count": 1})).endswith(": e: a 1 → 2")


def test_a_recorded_plan_has_only_the_number_of_locked_packages():
    plan = {"preparations": [{"spec": {"locks": {"x86_64": ["a==1"]}, "packages": ["a==1"]}}]}
    spec = without_locks(plan)["preparations"][0]["spec"]
    assert spec["locks"]["x86_64"].startswith("1 packages, ")
    assert spec["packages"] == ["a==1"]
