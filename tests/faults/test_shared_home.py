"""Hosts whose home is one folder, as on NFS: their runs do not meet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from night import PROJECT, light_case, runs_in
from stage import PORT

from ci.lab import faults, inside
from ci.lab.lab import cluster_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stage import Stage

    from ci.lab.model import Lab, LabHost


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def two_hosts(as_root: None, labs: Callable[..., Lab], home: Path) -> Lab:
    return labs(2, shared_home=home, shown=[PROJECT])


def alone(stage: Stage, host: LabHost) -> Stage:
    """The stage of a controller that knows this host only."""
    file = stage.folder / f"{host.name}.yaml"
    lab = replace(stage.lab, hosts=(host,), cluster_file=file)
    file.write_text(cluster_text(lab))
    return replace(stage, lab=lab)


def test_a_home_shared_by_hosts(stage: Stage, home: Path):
    assert stage.night(stage.case()).code == 0
    stage.subject = stage.nights[0]

    case = stage.folder / "one.yaml"
    case.write_text(light_case("good", port=PORT))
    first, second = (alone(stage, host) for host in stage.lab.hosts)
    nights = [each.begin(case) for each in (first, second)]
    assert [night.finish() for night in nights] == [0, 0]

    ups = [each.inv("up", "--config", str(case), "--skip-doctor") for each in (first, second)]
    assert [up.returncode for up in ups] == [0, 0]
    runs = [path.name for path in runs_in(stage.elsewhere / "runs")]

    shown = [each.inv("status").stdout for each in (first, second)]
    for run, own, other in zip(runs, shown, reversed(shown), strict=True):
        assert run in own
        assert run not in other
    assert second.inv("down", "--run", runs[0]).returncode == 2
    assert first.inv("down", "--run", runs[0]).returncode == 0
    assert first.ours_on(first.head) == []
    assert any("light_server" in command for command in second.ours_on(second.head))

    assert "is shared by" in stage.inv("doctor", "--config", str(stage.subject.case)).stdout
    assert second.inv("down", "--run", runs[1]).returncode == 0
    stage.await_free()
    left = [path.name for path in home.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(2 * ["host.json", "lock", "lock.guard"])


@pytest.mark.parametrize("reboots", [False, True])
def test_a_host_that_gets_another_name(stage: Stage, home: Path, *, reboots: bool):
    """Its run is known under the new name, and not taken for the run of its neighbour."""
    case = stage.folder / "one.yaml"
    case.write_text(light_case("good", port=PORT))
    first, second = (alone(stage, host) for host in stage.lab.hosts)
    assert first.inv("up", "--config", str(case), "--skip-doctor").returncode == 0
    (run,) = (path.name for path in runs_in(stage.elsewhere / "runs"))
    if reboots:
        faults.boot(stage.lab, first.head)
    assert inside.run_in(stage.lab, first.head, ["hostname", "another"]).returncode == 0
    assert run in first.inv("status").stdout
    assert run not in second.inv("status").stdout
    assert first.inv("down", "--run", run).returncode == 0
    assert run not in first.inv("status").stdout
    stage.await_free()
    left = [path.name for path in home.rglob("*") if path.is_file()]
    assert sorted(left) == ["host.json", "lock", "lock.guard"]
