"""Test the commands that messages name as next steps: whole, and right for the case at hand."""

from __future__ import annotations

import re
import shlex

import pytest
from stored_runs import run_of, stored

from ci.commands import baseline
from ci.commands.compare import compare
from ci.commands.history_flags import Compare, Show
from ci.commands.hosts_quarantine import quarantine, release_hosts
from ci.commands.metrics import textfile
from ci.commands.metrics_flags import Textfile
from ci.commands.suite_flags import Quarantine, Release
from ci.errors import ExitCode, UserError


def test_the_command_that_ends_a_quarantine_does_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))
    cluster = tmp_path / "my cluster.yaml"
    cluster.write_text("hosts:\n  npu3: {address: 10.0.0.3}\n", "utf-8")
    quarantine(Quarantine(cluster=str(cluster), on="npu3", reason="a link is broken"))
    (command,) = re.findall(r"`(.*)` ends that", capsys.readouterr().out)
    words = shlex.split(command)
    assert words[:2] == ["inv", "hosts.release"]
    given = dict(zip(words[2::2], words[3::2], strict=True))
    release_hosts(Release(cluster=given["--cluster"], on=given["--on"]))
    assert capsys.readouterr().out == "npu3 takes nights again\n"


def test_text_files_without_a_folder_are_a_mistake(tmp_path, monkeypatch):
    monkeypatch.delenv("PROM_TEXTFILE_DIR", raising=False)
    stored(tmp_path, run_of(0, run_type="daily"))
    with pytest.raises(UserError, match="--directory is missing; name node_exporter's folder, or"):
        textfile(Textfile(runs=str(tmp_path)))
    assert textfile(Textfile(runs=str(tmp_path), dry_run=True)) is ExitCode.PASS


CASE = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
benchmarks:
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: random
    num_prompts: 64
    max_out_len: 64
    batch_size: 4
    baseline: 91
    threshold: 0.97
"""


def test_a_case_that_the_history_knows_has_its_baselines(tmp_path):
    file = tmp_path / "elsewhere" / "alpha.yaml"
    file.parent.mkdir()
    file.write_text(CASE, "utf-8")
    stored(tmp_path / "runs", run_of(0, case="alpha", config=str(file)))
    given = {"runs": str(tmp_path / "runs"), "baselines": str(tmp_path / "baselines")}
    assert "91" in baseline.show(Show(case="alpha", **given))
    with pytest.raises(UserError, match="no case 'beta'"):
        baseline.show(Show(case="beta", **given))


def test_nights_of_one_case_are_compared(tmp_path):
    for night, case in enumerate(("a", "a", "b", "b")):
        stored(tmp_path, run_of(night, case=case))
    given = {"runs": str(tmp_path), "baselines": str(tmp_path / "baselines")}
    first, second = compare(Compare(case="a", **given)).splitlines()[1:3]
    assert "-a-0000" in first
    assert "-a-0001" in second
    assert "-b-0003" in compare(Compare(**given)).splitlines()[2]
    with pytest.raises(UserError, match="--case a: a run of --pair is of the case b"):
        compare(Compare(case="a", pair="20260103,20260104", **given))
