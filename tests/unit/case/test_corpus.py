"""Test case files of other projects, from the folder in CASE_CORPUS."""

import os
from pathlib import Path

import pytest
import yaml

from ci.case.load import load
from ci.case.variables import VARIABLES
from ci.documents import source
from ci.errors import CaseError

CORPUS = os.environ.get("CASE_CORPUS")
FOLDERS = ("seed_era", "internal_dp", "weekly/multi_node/internal_dp")
# File → a part of the reason. Only true defects belong here; there are none in these folders.
DEFECTS: dict[str, str] = {}

pytestmark = pytest.mark.skipif(
    CORPUS is None,
    reason="CASE_CORPUS is unset: name the folder that holds vllm-ascend/",
)


def files(*folders):
    root = Path(CORPUS or "nowhere") / "vllm-ascend"
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.yaml"))
    return [pytest.param(path, id=str(path.relative_to(root))) for path in paths]


@pytest.mark.parametrize("path", files(*FOLDERS))
def test_loads(path, request):
    name = request.node.callspec.id
    if name in DEFECTS:
        with pytest.raises(CaseError, match=DEFECTS[name]):
            load(path)
        return
    [case] = load(path)
    document = yaml.safe_load(path.read_bytes())
    assert len(case.nodes) == document["num_nodes"]
    assert [bench.name for bench in case.benchmarks] == list(document["benchmarks"] or {})
    for node, entry in zip(case.nodes, document["deployment"], strict=True):
        own = entry.get("envs") or entry.get("env_extend") or {}
        merged = {**document["env_common"], **own}
        assert node.env == {key: str(value) for key, value in merged.items()}
        assert "".join(entry["server_cmd"].split()).startswith("".join(node.argv[:2]))


@pytest.mark.parametrize("path", files("."))
def test_values_are_those_of_pyyaml(path):
    data = path.read_bytes()
    assert source.read(data, str(path)).value == yaml.safe_load(data)


@pytest.mark.parametrize("path", files("."))
def test_servers_own_variables_are_in_the_table(path):
    try:
        cases = load(path)
    except CaseError:
        return
    table = {variable.name for variable in VARIABLES}
    assert {name for case in cases for node in case.nodes for name in node.variables} <= table
