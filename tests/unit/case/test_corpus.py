"""Test case files of other projects, from the folder in CASE_CORPUS."""

import pytest
import yaml
from corpus import corpus_files, needs_corpus

from ci.case.load import load
from ci.case.variables import VARIABLES
from ci.documents import source
from ci.errors import CaseError

FOLDERS = ("seed_era", "internal_dp", "weekly/multi_node/internal_dp")
# File → a part of the reason. Only true defects belong here; there are none in these folders.
DEFECTS: dict[str, str] = {}

pytestmark = needs_corpus


@pytest.mark.parametrize("path", corpus_files(*FOLDERS))
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


@pytest.mark.parametrize("path", corpus_files())
def test_values_are_those_of_pyyaml(path):
    data = path.read_bytes()
    assert source.read(data, str(path)).value == yaml.safe_load(data)


@pytest.mark.parametrize("path", corpus_files())
def test_servers_own_variables_are_in_the_table(path):
    try:
        cases = load(path)
    except CaseError:
        return
    table = {variable.name for variable in VARIABLES}
    assert {name for case in cases for node in case.nodes for name in node.variables} <= table
