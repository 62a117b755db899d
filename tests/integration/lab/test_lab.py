"""The lab itself: real hosts, each fault does what it says and is undone, nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hosts_here import PATIENCE_S
from lab_fixture import output_of, ssh, ssh_argv, traces

from ci.errors import InfrastructureError, UserError
from ci.lab import faults, inside
from ci.lab.lab import down, load, up
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci.lab.model import Lab

as_root = pytest.mark.usefixtures("as_root")
HERE = Path(__file__).parents[2]
PROJECT = HERE.parent


@pytest.fixture(scope="module")
def pair(labs: Callable[..., Lab]) -> Lab:
    return labs(2)


@pytest.fixture
def names(pair: Lab) -> Iterator[tuple[str, str]]:
    """Two hosts; a fault that a failed test left there is gone before the next."""
    first, second = (host.name for host in pair.hosts)
    yield first, second
    faults.boot(pair, first)


def connects(lab: Lab, host: str, port: int = 22, timeout_s: float = 1) -> str:
    """How a connection to a host's port ends: open, refused or silence."""
    try:
        socket.create_connection((lab.host(host).address, port), timeout_s).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silence"
    return "open"


@as_root
def test_each_host_is_its_own(pair: Lab, names: tuple[str, str]) -> None:
    seen = [output_of(pair, host.name, "hostname; hostname -I; echo $$") for host in pair.hosts]
    for host, (name, address, pid) in zip(pair.hosts, map(str.split, seen), strict=True):
        assert (name, address) == (host.name, host.address)
        assert int(pid) < 200
    boots = {output_of(pair, name, "cat /proc/sys/kernel/random/boot_id") for name in names}
    own = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len(boots | {own}) == 3
    assert output_of(pair, names[0], "ls -A /tmp /var/tmp /dev/shm | grep -v :") == ""


@as_root
def test_a_python_is_there_and_this_machines_files(pair: Lab, names: tuple[str, str]) -> None:
    code = f"import sys; open({os.__file__!r}); sys.exit(sys.version_info < (3, 8))"
    assert ssh(pair, names[0], f'python3 -ISBc "{code}"').returncode == 0


@as_root
def test_hosts_reach_each_other(pair: Lab, names: tuple[str, str]) -> None:
    first, second = names
    banner = f"exec 3<>/dev/tcp/{second}/22 && head -c 7 <&3"
    assert output_of(pair, first, f"bash -c '{banner}'") == "SSH-2.0"


@as_root
def test_what_a_host_writes_stays_its_own(pair: Lab, names: tuple[str, str]) -> None:
    first, second = names
    mark = f"/usr/local/lamp-{pair.name}"
    output_of(pair, first, f"echo here > {mark}; echo more >> /etc/services; echo t > /tmp/t")
    assert not Path(mark).exists()
    assert ssh(pair, second, f"test -e {mark} -o -e /tmp/t").returncode == 1
    assert inside.written(pair, first) == ["/etc/services", "/tmp/t", mark]
    assert (inside.root_of(pair, first) / mark[1:]).read_text() == "here\n"


@as_root
def test_processes_and_ports_are_seen_from_outside(pair: Lab, names: tuple[str, str]) -> None:
    first, second = names
    # The sshd session of an earlier test may still be ending.
    assert wait_for(lambda: inside.processes(pair, first) == (), PATIENCE_S)
    serve = "import socket,time; s=socket.create_server(('', 8123)); time.sleep(600)"
    command = f'setsid nohup python3 -c "{serve}" >/dev/null 2>&1 </dev/null &'
    output_of(pair, first, command)
    assert wait_for(lambda: inside.ports(pair, first) == {8123}, PATIENCE_S)
    assert wait_for(lambda: len(inside.processes(pair, first)) == 1, PATIENCE_S)
    (process,) = inside.processes(pair, first)
    assert "8123" in process.command
    assert process.pid != process.pid_there
    assert inside.processes(pair, second) == ()
    assert inside.run_in(pair, first, ["hostname"]).stdout == f"{first}\n"


@as_root
@pytest.mark.parametrize("fault", [faults.cut, faults.pull_cable])
def test_a_host_that_is_cut_off_is_silent(
    pair: Lab, names: tuple[str, str], fault: Callable[[Lab, str], None]
) -> None:
    first, second = names
    fault(pair, first)
    assert connects(pair, first) == "silence"
    assert connects(pair, second) == "open"
    reach = f"exec 3<>/dev/tcp/{second}/22"
    ended = inside.run_in(pair, first, ["timeout", "1", "bash", "-c", reach])
    assert ended.returncode != 0
    faults.repair(pair, first)
    assert wait_for(lambda: connects(pair, first) == "open", PATIENCE_S)


@as_root
@pytest.mark.parametrize("fault", [faults.cut, faults.pull_cable])
def test_a_boot_mends_the_network(
    pair: Lab, names: tuple[str, str], fault: Callable[[Lab, str], None]
) -> None:
    first, _ = names
    fault(pair, first)
    faults.boot(pair, first)
    assert wait_for(lambda: connects(pair, first) == "open", PATIENCE_S)


@as_root
def test_an_open_session_outlives_a_cut(pair: Lab, names: tuple[str, str]) -> None:
    first, _ = names
    session = subprocess.Popen(
        ssh_argv(pair, first, "cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    with session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"before\n")
        assert session.stdout.readline() == b"before\n"
        faults.cut(pair, first)
        session.stdin.write(b"after\n")
        assert len(inside.processes(pair, first)) >= 2
        faults.repair(pair, first)
        assert session.stdout.readline() == b"after\n"
        session.stdin.close()
        assert session.wait(PATIENCE_S) == 0


@as_root
def test_a_filtered_port_answers_nobody_new(pair: Lab, names: tuple[str, str]) -> None:
    first, _ = names
    faults.filter_port(pair, first, 22)
    assert connects(pair, first) == "silence"
    assert connects(pair, first, 8999) == "refused"
    faults.repair(pair, first)
    assert connects(pair, first) == "open"


COUNT_DATAGRAMS = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(('', 8124))
print('ready', flush=True)
heard.settimeout(600)
count = 0
while heard.recv(10) != b'end':
    count += 1
print(count)
"""


@as_root
def test_half_of_the_packets_get_lost(pair: Lab, names: tuple[str, str]) -> None:
    first, _ = names
    there = (pair.host(first).address, 8124)
    with (
        subprocess.Popen(
            ssh_argv(pair, first, f'python3 -ISBc "{COUNT_DATAGRAMS}"'), stdout=subprocess.PIPE
        ) as session,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talking,
    ):
        assert session.stdout is not None
        assert session.stdout.readline() == b"ready\n"
        faults.lose_packets(pair, first, 50)
        for _ in range(200):
            talking.sendto(b"x", there)
        faults.repair(pair, first)
        talking.sendto(b"end", there)
        # 200 throws of a coin: outside of this less than once in 10^17.
        assert 40 < int(session.stdout.readline()) < 160
    with pytest.raises(UserError, match="1 to 99"):
        faults.lose_packets(pair, first, 100)


@as_root
def test_a_crash_says_no_goodbye_and_a_boot_is_another(pair: Lab, names: tuple[str, str]) -> None:
    first, _ = names
    before = output_of(pair, first, "echo kept > /root/kept; cat /proc/sys/kernel/random/boot_id")
    output_of(pair, first, "setsid sleep 600 >/dev/null 2>&1 </dev/null &")
    open_one = socket.create_connection((pair.host(first).address, 22), PATIENCE_S)
    with open_one:
        open_one.recv(100)
        faults.crash(pair, first)
        open_one.settimeout(0.5)
        with pytest.raises(TimeoutError):
            open_one.recv(100)
    assert connects(pair, first) == "silence"
    assert inside.processes(pair, first) == ()
    assert inside.written(pair, first) == ["/root/kept"]
    with pytest.raises(InfrastructureError, match="is down"):
        inside.run_in(pair, first, ["true"])
    faults.boot(pair, first, empty=False)
    assert output_of(pair, first, "cat /root/kept") == "kept"
    assert output_of(pair, first, "cat /proc/sys/kernel/random/boot_id") != before
    faults.boot(pair, first)
    assert ssh(pair, first, "test -e /root/kept").returncode == 1


@as_root
def test_sshd_restarts_with_and_without_its_sessions(pair: Lab, names: tuple[str, str]) -> None:
    first, _ = names
    for kill_sessions in (False, True):
        with subprocess.Popen(
            ssh_argv(pair, first, "echo here; cat"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as session:  # fmt: skip
            assert session.stdout is not None
            assert session.stdout.readline() == b"here\n"
            main = inside.listener(pair, first)
            faults.restart_sshd(pair, first, kill_sessions=kill_sessions)
            assert inside.listener(pair, first) not in {main, None}
            if kill_sessions:
                assert session.wait(PATIENCE_S) == 255
            else:
                session.communicate(timeout=PATIENCE_S)
                assert session.returncode == 0
        assert output_of(pair, first, "echo again") == "again"
    faults.stop_sshd(pair, first)
    assert connects(pair, first) == "refused"
    faults.start_sshd(pair, first)
    assert connects(pair, first) == "open"


@as_root
def test_python_goes_and_comes_back(pair: Lab, names: tuple[str, str]) -> None:
    first, second = names
    faults.hide_python(pair, first)
    assert ssh(pair, first, "python3 -V").returncode == 127
    assert ssh(pair, second, "python3 -V").returncode == 0
    faults.show_python(pair, first)
    assert ssh(pair, first, "python3 -V").returncode == 0


@as_root
def test_a_full_disk_takes_no_byte(pair: Lab, names: tuple[str, str]) -> None:
    first, second = names
    write = "head -c 100000 /dev/zero > /tmp/more"
    faults.fill_disk(pair, first)
    refused = ssh(pair, first, write)
    assert refused.returncode != 0
    assert "No space left" in refused.stderr
    assert ssh(pair, second, write).returncode == 0
    faults.free_disk(pair, first)
    assert ssh(pair, first, write).returncode == 0


@as_root
def test_another_host_key_is_refused(pair: Lab, names: tuple[str, str]) -> None:
    first, _ = names
    faults.new_host_key(pair, first)
    refused = ssh(pair, first, "true")
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    faults.old_host_key(pair, first)
    assert ssh(pair, first, "true").returncode == 0


@as_root
@pytest.mark.parametrize("wrong_s", [3600, -7200])
def test_a_clock_goes_wrong_for_one_host(pair: Lab, names: tuple[str, str], wrong_s: int) -> None:
    first, second = names
    look = 'python3 -ISBc "import time, datetime; time.sleep(0.01); print(time.time())"; date +%s'
    faults.set_clock(pair, first, wrong_s)
    for clock in output_of(pair, first, look).split():
        assert abs(float(clock) - time.time() - wrong_s) < 60
    for clock in output_of(pair, second, look).split():
        assert abs(float(clock) - time.time()) < 60
    faults.set_clock(pair, first, 0)
    for clock in output_of(pair, first, look).split():
        assert abs(float(clock) - time.time()) < 60


@as_root
def test_a_disk_has_the_size_that_was_asked(labs: Callable[..., Lab]) -> None:
    lab = labs(1, disk_mb=8)
    refused = ssh(lab, lab.hosts[0].name, "head -c 20000000 /dev/zero > /root/big")
    assert "No space left" in refused.stderr


@as_root
def test_a_folder_of_tmp_is_shown_when_asked(labs: Callable[..., Lab], tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("yes")
    (tmp_path / "home/.lamplighter/run").mkdir(parents=True)
    lab = labs(1, shown=[tmp_path], workspace=str(tmp_path / "home"))
    name = lab.hosts[0].name
    assert output_of(lab, name, f"cat {tmp_path}/seen; echo mine > {tmp_path}/mine") == "yes"
    assert not (tmp_path / "mine").exists()
    assert output_of(lab, name, f"ls -A {tmp_path}/home/.lamplighter") == ""
    assert inside.written(lab, name) == [f"{tmp_path}/mine"]


@as_root
def test_the_cluster_file_leads_to_the_hosts(pair: Lab) -> None:
    text = pair.cluster_file.read_text()
    assert "inv lab.down" in text.splitlines()[0]
    cluster = yaml.safe_load(text)
    assert cluster["defaults"] == {
        "user": "root",
        "port": 22,
        "identity": str(pair.identity),
        "known_hosts": str(pair.known_hosts),
    }
    assert cluster["hosts"] == {host.name: {"address": host.address} for host in pair.hosts}
    assert pair.identity.stat().st_mode & 0o777 == 0o600
    assert pair.folder.stat().st_mode & 0o777 == 0o700


@as_root
def test_down_leaves_nothing(tmp_path: Path) -> None:
    folder, cluster_file = tmp_path / "lab", tmp_path / "cluster.yaml"
    name = f"gone{os.getpid()}"
    lab = up(folder, 3, name=name, cluster_file=cluster_file)
    try:
        first, second, third = (host.name for host in lab.hosts)
        assert all(traces(lab).values())
        output_of(lab, first, "setsid sleep 600 >/dev/null 2>&1 </dev/null &")
        faults.lose_packets(lab, first, 50)
        faults.crash(lab, second)
        faults.fill_disk(lab, third)
        session = subprocess.Popen(ssh_argv(lab, third, "sleep 600"), stdin=subprocess.DEVNULL)
        assert wait_for(lambda: len(inside.processes(lab, third)) >= 2, PATIENCE_S)
        with pytest.raises(UserError, match=r"is up, in .*/lab"):
            up(tmp_path / "other", 1, name=name, cluster_file=tmp_path / "other.yaml")
    finally:
        assert down(folder)
    assert session.wait(PATIENCE_S) != 0
    assert not any(traces(lab).values()), traces(lab)
    assert not folder.exists()
    assert not cluster_file.exists()
    assert not down(folder)


MAKER = """
import sys, time
from pathlib import Path
from ci.lab.lab import up
up(Path(sys.argv[1]), 12, name=sys.argv[2], cluster_file=Path(sys.argv[3]))
print("up", flush=True)
time.sleep(600)
"""


@as_root
@pytest.mark.parametrize("begun", ["up", "halfway"])
def test_a_lab_whose_maker_was_killed_is_ended_by_another(tmp_path: Path, begun: str) -> None:
    folder, cluster_file = tmp_path / "lab", tmp_path / "cluster.yaml"
    name = f"dead{os.getpid()}"
    argv = [sys.executable, "-c", MAKER, str(folder), name, str(cluster_file)]
    with subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        if begun == "up":
            assert maker.stdout.readline() == b"up\n"
        else:
            assert wait_for(lambda: any(folder.glob("hosts/*/pid")), PATIENCE_S)
        maker.send_signal(signal.SIGKILL)
    lab = load(folder)
    assert lab is not None
    assert down(folder)
    assert not any(traces(lab).values()), traces(lab)
    assert not folder.exists()


@as_root
def test_up_clears_away_a_lab_in_which_nobody_lives(tmp_path: Path) -> None:
    name = f"half{os.getpid()}"
    old = up(tmp_path / "old", 2, name=name, cluster_file=tmp_path / "old.yaml")
    try:
        for host in old.hosts:
            faults.crash(old, host.name)
        new = up(tmp_path / "new", 1, name=name, cluster_file=tmp_path / "new.yaml")
        assert output_of(new, f"{name}-1", "hostname") == f"{name}-1"
        assert not old.folder.exists()
    finally:
        down(tmp_path / "old")
        down(tmp_path / "new")
    assert not any(traces(old).values()), traces(old)


AT_ONCE = """
import sys
from pathlib import Path
from ci.lab.lab import down, up
from hosts_here import PATIENCE_S
from lab_fixture import output_of

folder, name = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
lab = up(folder, 2, name=name, cluster_file=folder / "cluster.yaml")
try:
    seen = [output_of(lab, host.name, "hostname") for host in lab.hosts]
    print(lab.subnet, *seen, flush=True)
    sys.stdin.readline()
finally:
    down(folder)
"""


@as_root
def test_labs_that_begin_and_end_at_once_do_not_meet(tmp_path: Path) -> None:
    names = [f"many{os.getpid()}-{n}" for n in range(4)]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{HERE}"}
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", AT_ONCE, str(tmp_path / name), name],
            # Whoever makes a lab may have been given a temporary folder of its own.
            env={**environment, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in names
    ]  # fmt: skip
    try:
        for maker in makers:
            tell(maker)
        lines = [maker.stdout.readline().split() for maker in makers if maker.stdout]
        for name, (_, *hosts) in zip(names, lines, strict=True):
            assert hosts == [f"{name}-1", f"{name}-2"]
        assert len({subnet for subnet, *_ in lines}) == len(names)
        labs = [load(tmp_path / name) for name in names]
        for maker in makers:
            tell(maker)
        assert [maker.wait(PATIENCE_S) for maker in makers] == [0] * len(names)
        assert not any(any(traces(lab).values()) for lab in labs if lab)
    finally:
        for maker, name in zip(makers, names, strict=True):
            maker.kill()
            maker.communicate()
            down(tmp_path / name)


def tell(maker: subprocess.Popen[str]) -> None:
    assert maker.stdin is not None
    maker.stdin.write("go on\n")
    maker.stdin.flush()


LOOPBACK = """
import subprocess, sys
from pathlib import Path
from ci.errors import UserError
from ci.lab import faults
from ci.lab.lab import down, up
from hosts_here import PATIENCE_S
from lab_fixture import output_of

folder = Path(sys.argv[1])
lab = up(folder / "lab", 2, name="loop", cluster_file=folder / "loop.yaml", root=False)
try:
    command = "echo $SSH_CONNECTION; id -u; python3 -V"
    seen = [output_of(lab, host.name, command) for host in lab.hosts]
    output_of(lab, "loop-1", "setsid sleep 654321 >/dev/null 2>&1 </dev/null &")
    assert [line.split()[2] for line in seen] == ["127.0.0.2", "127.0.0.3"], seen
    assert (folder / "loop.yaml").read_text().count("workspace: /") == 2
    try:
        faults.cut(lab, "loop-1")
    except UserError as error:
        assert "as root" in str(error)
    else:
        raise SystemExit("cut must be refused")
finally:
    down(folder / "lab")
assert not (folder / "lab").exists()
assert not (folder / "loop.yaml").exists()
print("done")
"""


def test_without_root_hosts_are_loopback_addresses(
    labs: Callable[..., Lab], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        argv = [sys.executable, "-Bc", LOOPBACK, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{HERE}"}
        ended = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert ended.stdout == "done\n", ended.stderr
        return
    # A plain user is made where that changes nothing here: on a lab's host.
    needed = {Path(sys.prefix), Path(sys.base_prefix), PROJECT}
    lab = labs(1, shown=[path for path in needed if path.is_relative_to("/tmp")])
    name = lab.hosts[0].name
    script = (
        "chmod a+x /root && useradd -m tester -s /bin/bash && cd ~tester && "
        f"export HOME=~tester PYTHONPATH={PROJECT}:{HERE} && "
        'exec setpriv --reuid=tester --regid=tester --clear-groups "$0" -Bc "$1" ~tester'
    )
    ended = inside.run_in(lab, name, ["bash", "-c", script, sys.executable, LOOPBACK])
    assert ended.stdout == "done\n", ended.stderr
    assert [item for item in inside.processes(lab, name) if "sleep" in item.command] == []
