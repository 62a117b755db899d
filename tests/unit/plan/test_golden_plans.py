"""The plan of every case in configs/cases, on made-up hosts, as `inv plan` prints it.

Rewrite them after a change that is meant, and read the difference:

    python tests/unit/plan/test_golden_plans.py
"""

from __future__ import annotations

import difflib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from ci.case.load import load
from ci.plan.addresses import with_addresses
from ci.plan.build import build
from ci.report.plan.picture import WIDTH
from ci.report.plan.text import as_text, as_values
from ci.request import Request
from ci.resolve import resolve

PROJECT = Path(__file__).resolve().parents[3]
GOLDENS = Path(__file__).resolve().parents[1] / "goldens"
CASES = [case for path in sorted(PROJECT.glob("configs/cases/*.yaml")) for case in load(path)]
HOSTS = {"host-0": "192.0.2.1", "host-1": "192.0.2.2"}  # for documentation: RFC 5737
WORKSPACE = "/data/lamplighter"
CLUSTER = "\n".join(
    [
        f"defaults: {{workspace: {WORKSPACE}, interface: eth0}}",
        "hosts:",
        *(f"  {name}: {{address: {address}}}" for name, address in HOSTS.items()),
    ]
)
FACTS = {
    name: {"addresses": [{"interface": "eth0", "address": address}], "home": "/home/operator"}
    for name, address in HOSTS.items()
}


def plan_of(case, folder):
    (folder / "cluster.yaml").write_text(CLUSTER, "utf-8")
    local = case.device == "cpu" and case.name != "local-2-hosts"
    where = (
        {"local": True, "workspace": WORKSPACE}
        if local
        else {"cluster": str(folder / "cluster.yaml")}
    )
    inputs = resolve(case, Request(case.path, **where))
    datasets = {  # as if they were there, and in the same folder on every machine
        name: replace(found, path=f"/datasets/{found.name}")
        for name, found in inputs.datasets.items()
    }
    return build(case, with_addresses(replace(inputs, datasets=datasets), FACTS))


def text_of(case, folder):
    return as_text(plan_of(case, folder)).replace(str(PROJECT), "/lamplighter")


def rewrite():
    for old in GOLDENS.glob("*.txt"):
        old.unlink()
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            text = text_of(case, Path(folder))
        (GOLDENS / f"{case.name}.txt").write_text(text, "utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_plan_is_the_golden_one(case, tmp_path):
    golden = GOLDENS / f"{case.name}.txt"
    expected = golden.read_text("utf-8") if golden.is_file() else ""
    found = text_of(case, tmp_path)
    difference = "\n".join(difflib.unified_diff(expected.split("\n"), found.split("\n"), n=1))
    if difference:
        message = (
            f"{golden.name} changed; if that is meant: python tests/unit/plan/{Path(__file__).name}"
        )
        pytest.fail(f"{message}\n{difference}")


def test_there_is_no_golden_plan_without_a_case():
    names = {path.stem for path in GOLDENS.glob("*")}
    assert names == {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_command_of_the_values_is_in_the_text(case, tmp_path):
    plan = plan_of(case, tmp_path)
    text = as_text(plan)
    values = as_values(plan)
    started = [*values["services"], *values["processes"], *filter(None, [values["router"]])]
    for one in (*started, *values["benchmarks"]):
        assert one["argv"]
        assert text.count(f"\n{one['argv'][0]} ") >= 1
    picture = text.partition("\nThe steps")[0]
    assert max(map(len, picture.splitlines()[1:])) <= WIDTH


def test_our_cases_have_nothing_to_warn_of():
    assert [str(problem) for case in CASES for problem in case.warnings] == []


if __name__ == "__main__":
    sys.exit(rewrite())
