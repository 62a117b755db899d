"""What an operator types between nights, over real hosts: up, status, logs, down, trust."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hosts_here import until
from night import INVOKE, PROJECT, light_case, runs_in

from ci.lab import inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ci.lab.model import Lab

WORKSPACE = "/srv/lamplighter-test"
TASKS = ("nightly", "up")
# `inv`, on whose hosts nothing can be kept.
INV_WITHOUT_KEEP = """\
from invoke.main import program
from ci.run import hand_back
hand_back.keep = lambda *_: ["host-b: no answer within 30 s"]
program.run()
"""


@pytest.fixture(scope="module")
def lab(as_root: None, labs: Callable[..., Lab]) -> Lab:
    return labs(2, workspace=WORKSPACE, shown=[PROJECT])


@pytest.fixture
def inv(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Type an `inv` command about the lab; afterwards nothing of any run is on its hosts."""
    (tmp_path / "case.yaml").write_text(light_case("good", "worker", port=18_371))

    def type_(
        *words: str, runs: str = "runs", program: tuple[str, str] = ("-m", "invoke")
    ) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, *program, "--search-root", str(PROJECT), *words]
        argv += ["--cluster", str(lab.cluster_file), "--runs", runs]
        ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        print(ended.stdout, ended.stderr)
        return ended

    yield type_
    type_("down", "--all-mine")
    for host in lab.hosts:
        until(lambda host=host: not inside.processes(lab, host.name))


@pytest.fixture
def up(inv: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> str:
    """A run whose servers go on; its id."""
    assert inv("up", "--config", "case.yaml").returncode == 0
    (folder,) = runs_in(tmp_path / "runs")
    return folder.name


def rows(inv: Callable[..., subprocess.CompletedProcess[str]]) -> list[tuple[str, str, bool]]:
    rows = json.loads(inv("status", "--json").stdout)["rows"]
    return [(row["host"], row["process"], row["alive"]) for row in rows]


def test_servers_that_were_brought_up_go_on_until_they_are_taken_down(inv, lab, up, tmp_path):
    head, worker = (host.name for host in lab.hosts)
    # Longer than the lease: nobody but their keep holds them.
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 25)
    assert sorted(rows(inv)) == sorted(
        [
            (head, "lease", True),
            (head, "server-0", True),
            (worker, "lease", True),
            (worker, "server-1", True),
        ]
    )
    assert f"{head} server-0 | light server is up" in inv("logs", "--run", up).stdout
    only = inv("logs", "--run", up, "--host", worker).stdout
    assert only == f"{worker} server-1 | a worker server is up\n"

    refused = inv("nightly", "--config", "case.yaml", runs="others")
    assert refused.returncode == 3
    assert f"held by run {up}" in refused.stdout
    # Another workspace's lock is another one, but its runs are seen.
    away = ("nightly", "--config", "case.yaml", "--workspace", "/srv/another")
    refused = inv(*away, runs="others")
    assert refused.returncode == 3
    assert f"{head}: run: run {up} of " in refused.stdout

    # From a folder that knows nothing of the run, as another controller would.
    shown = inv("down", "--run", up, "--dry-run", runs="elsewhere")
    assert (shown.returncode, len(rows(inv))) == (0, 4)
    assert f"{worker}: would end server-1 of {up}" in shown.stdout

    ended = inv("down", "--run", up, runs="elsewhere")
    assert ended.returncode == 0
    assert "nothing is left on 2 hosts" in ended.stdout
    assert rows(inv) == []
    log = tmp_path / "elsewhere" / up / "logs" / head / "server-0.log"
    assert "light server is up" in log.read_text()


def test_what_came_after_up_is_home_after_down(inv, lab, up, tmp_path):
    head = lab.hosts[0].name
    (there,) = inside.root_of(lab, head).glob(f"{WORKSPACE[1:]}/.lamplighter/*/{up}")
    with (there / "server-0/log").open("a") as log:
        log.write("between up and down\n")
    # Of a controller that died while a tool ran.
    work = there / "inputs/acc/work/out"
    work.mkdir(parents=True)
    (work / "scores.json").write_text("{}")
    home = tmp_path / "runs" / up
    assert (home / f"logs/{head}/server-0.log").read_text() == "light server is up\n"
    assert inv("down", "--run", up).returncode == 0
    whole = "light server is up\nbetween up and down\n"
    assert (home / f"logs/{head}/server-0.log").read_text() == whole
    assert (home / "evaluate/acc/raw/out/scores.json").read_text() == "{}"
    assert not there.exists()
    prefixed = "".join(f"{head} server-0 | {line}\n" for line in whole.splitlines())
    assert inv("logs", "--run", up, "--host", head).stdout == prefixed


def test_nothing_is_removed_on_a_host_that_is_not_home(inv, lab, up, tmp_path):
    head = lab.hosts[0].name
    (there,) = inside.root_of(lab, head).glob(f"{WORKSPACE[1:]}/.lamplighter/*/{up}")
    home = tmp_path / "runs" / up / "logs" / head
    with (there / "server-0/log").open("a") as log:
        log.write("between up and down\n")
    (home / "server-0.log").rename(home / "server-0.kept")
    (home / "server-0.log").mkdir()  # nothing can be written there
    ended = inv("down", "--run", up)
    assert ended.returncode == 3
    assert f"output of {up} on {head}: " in ended.stderr
    assert "server-0.log: Is a directory" in ended.stderr
    assert (there / "server-0/log").read_text() == "light server is up\nbetween up and down\n"
    (home / "server-0.log").rmdir()
    (home / "server-0.kept").rename(home / "server-0.log")
    assert inv("down", "--run", up).returncode == 0
    assert (home / "server-0.log").read_text() == "light server is up\nbetween up and down\n"
    assert not there.exists()


def test_a_night_that_keeps_its_servers_says_how_to_end_them(inv, tmp_path):
    ended = inv("nightly", "--config", "case.yaml", "--keep")
    assert ended.returncode == 0
    (folder,) = runs_in(tmp_path / "runs")
    assert f"inv down --run {folder.name}" in ended.stdout
    record = json.loads((folder / "run.json").read_text())
    assert record["kept_s"] == 12 * 3600
    running = f"the servers keep running at {record['kept_url']} until {record['kept_until']}; "
    assert f"next   T{running[1:]}" in ended.stdout
    assert running in (folder / "report.md").read_text()
    assert {process for _, process, alive in rows(inv) if alive} == {
        "lease",
        "server-0",
        "server-1",
    }
    # Its folder is its name, too.
    assert "light server is up" in inv("logs", "--run", f"runs/{folder.name}").stdout
    assert inv("down", "--run", str(folder), runs="elsewhere").returncode == 0
    assert json.loads((folder / "run.json").read_text())["kept_s"] == 0
    assert not (tmp_path / "elsewhere").exists()
    assert f"kept running at {record['kept_url']} until" in (folder / "report.md").read_text()


@pytest.mark.parametrize("task", [("up",), ("nightly", "--keep")])
def test_servers_that_cannot_be_kept_are_not_said_to_go_on(inv, tmp_path, task):
    ended = inv(*task, "--config", "case.yaml", program=("-c", INV_WITHOUT_KEEP))
    (folder,) = runs_in(tmp_path / "runs")
    record = json.loads((folder / "run.json").read_text())
    assert ended.returncode == 3
    assert (record["outcome"], record["kept_s"]) == ("unknown", 0)
    assert "the servers were to keep running and are stopped" in record["cause"]["message"]
    assert "the servers are stopped, not kept: host-b: no answer within 30 s" in ended.stdout
    assert "go on" not in ended.stdout
    assert rows(inv) == []


def test_a_night_examines_the_accelerators_that_device_names(inv):
    """As `inv doctor` does with the same flags; the case itself names none."""
    refused = {task: inv(task, "--config", "case.yaml", "--device", "cuda") for task in TASKS}
    assert {task: ended.returncode for task, ended in refused.items()} == dict.fromkeys(TASKS, 3)
    for ended in refused.values():
        assert "accelerators: nvidia-smi shows 0 GPUs, the plan uses 1" in ended.stdout


def test_a_log_is_followed_to_its_end(inv, lab, up, tmp_path):
    argv = [*INVOKE, "--search-root", str(PROJECT), "logs", "--run", up]
    argv += ["--follow", "--cluster", str(lab.cluster_file)]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as follower:
        first = {follower.stdout.readline(), follower.stdout.readline()}
        assert inv("down", "--run", up).returncode == 0
        rest = follower.stdout.read()
    head, worker = (host.name for host in lab.hosts)
    assert first == {
        f"{head} server-0 | light server is up\n",
        f"{worker} server-1 | a worker server is up\n",
    }
    assert follower.returncode == 0
    assert rest == ""


def test_a_run_that_is_not_there(inv, up):
    ended = inv("down", "--run", "20200101-000000-none-0000")
    assert ended.returncode == 2
    assert up in ended.stderr
    assert inv("logs", "--run", "20200101-000000-none-0000").returncode == 2
    assert inv("down").returncode == 2


def test_hosts_are_trusted_once_they_were_looked_at(inv, lab, tmp_path):
    known = tmp_path / "known_hosts"
    cluster = tmp_path / "new.yaml"
    text = lab.cluster_file.read_text()
    cluster.write_text(text.replace(str(lab.known_hosts), str(known)))

    def trust(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [*INVOKE, "--search-root", str(PROJECT), "hosts.trust"]
        argv += ["--cluster", str(cluster), *words]
        return subprocess.run(
            argv,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    argv = [*INVOKE, "--search-root", str(PROJECT), "status"]
    argv += ["--cluster", str(cluster)]
    unknown = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert unknown.returncode == 3
    assert "SHA256:" in unknown.stdout
    assert "inv hosts.trust" in unknown.stdout

    assert trust().returncode == 2  # nobody to ask
    assert not known.exists()
    shown = trust("--yes")
    assert shown.returncode == 0
    assert shown.stdout.count("SHA256:") == 2
    assert len(known.read_text().splitlines()) == 2
    assert "already known" in trust().stdout
