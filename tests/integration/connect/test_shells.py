"""Hosts whose login shells and start-up files are what operators have: nothing printed is data."""

from __future__ import annotations

import os
import signal
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from hosts_here import PATIENCE_S

from ci.agent import reconnect, start_agent
from ci.agent.connected import connected
from ci.agent.fetch import fetch_folder
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.errors import HostUnreachable, InfrastructureError
from ci.inventory.target import Target
from ci.lab import faults, inside
from ci.lab.programs import find_program, install

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.lab.model import Lab

PACKAGES = ("tcsh", "fish", "zsh")
READY = '{"event": "ready", "boot_id": "x", "home": "/nowhere", "name": "n"}'
SOURCES = '{"event": "sources"}'
LINE = '{"id": 1, "ok": {}, "size": 9}'
TITLE = r"printf '\033]0;npu-1\007'"
# Accounts of the host, all of them root: the login shell, and the files in its home folder.
FIT = {
    "chatty": ("/bin/bash", {".bashrc": "echo Welcome to the cluster\necho careful >&2\n"}),
    "titled": ("/bin/bash", {".bashrc": f"{TITLE}\n"}),
    "json": ("/bin/bash", {".bashrc": 'printf \'{"event": "ready", "home": \'\n'}),
    "mimic": ("/bin/bash", {".bashrc": f"echo '{READY}'\necho '{SOURCES}'\n"}),
    "logger": ("/bin/bash", {".bashrc": f"(while sleep 0.02; do echo '{LINE}'; done) &\n"}),
    "asks": ("/bin/bash", {".bashrc": "read -t 9 -p 'Which modules? ' answer\n"}),
    "binary": ("/bin/bash", {".bashrc": "head -c 300000 /dev/urandom\n"}),
    "babbler": ("/bin/bash", {".bashrc": "(while sleep 0.02; do echo mail; done) &\n"}),
    "sources": ("/bin/bash", {".bashrc": "exec zsh\n", ".zshenv": "echo in another shell\n"}),
    "dashing": ("/bin/dash", {".profile": "echo never read\n"}),
    "zsh": ("/bin/zsh", {".zshenv": "echo hello\n"}),
    "fish": ("/usr/bin/fish", {".config/fish/config.fish": "echo hello; set -x A (date)\n"}),
    "tcsh": ("/bin/tcsh", {".tcshrc": "echo hello\nset prompt = '%m! '\n"}),
    "csh": ("/bin/csh", {".cshrc": "set backslash_quote\necho -n hello\n"}),
}
UNFIT = {
    "nobody": ("/usr/sbin/nologin", {}, "exit 1; it printed .This account is currently not avail"),
    "false": ("/bin/false", {}, "exit 1; it printed nothing"),
    "restricted": ("/bin/rbash", {}, "it printed .*restricted"),
    "ends": ("/bin/bash", {".bashrc": "echo under repair; exit 5\n"}, "exit 5; .*under repair"),
    "tmux": ("/bin/bash", {".bashrc": "exec tmux-is-not-here\n"}, "tmux-is-not-here: not found"),
    "forced": ("/bin/bash", {}, "exit 0; it printed .Only backups here., good bye"),
    "reads": ("/bin/bash", {".bashrc": "read -t 9 -N 99 x\n"}, "input that is not for them"),
    "waiting": ("/bin/bash", {".bashrc": "cat /dev/tty; sleep 600\n"}, "no answer within 5 s"),
    "pythonless": ("/bin/tcsh", {".tcshrc": "setenv PATH /nowhere\n"}, "there is no python3 on it"),
}
SETTINGS = """\
Match User forced
  ForceCommand printf 'Only backups here., \\033[31mgood\\033[0m bye'
Match User adopted
  Banner /etc/banner
  AuthorizedKeysFile /nowhere
Match User single,tcsh
  MaxSessions 1
"""
BANNER = "Access denied by\n pam_slurm_adopt: you have no active jobs on this node\n"


@pytest.fixture(scope="module")
def lab(as_root: None, labs: Callable[..., Lab]) -> Lab:
    if missing := [name for name in PACKAGES if find_program(name) is None]:
        install(missing)
    lab = labs(2)
    root = inside.root_of(lab, lab.hosts[0].name)
    accounts = {name: entry[:2] for name, entry in (FIT | UNFIT).items()}
    accounts |= {"single": ("/bin/bash", {}), "adopted": ("/bin/bash", {})}
    passwd, shadow = (root / "etc/passwd").read_text(), (root / "etc/shadow").read_text()
    for name, (shell, files) in accounts.items():
        passwd += f"{name}:x:0:0::/home/{name}:{shell}\n"
        shadow += f"{name}:*:19000::::::\n"
        (root / "home" / name).mkdir(parents=True)
        for file, text in files.items():
            path = root / "home" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    (root / "etc/passwd").write_text(passwd)
    (root / "etc/shadow").write_text(shadow)
    (root / "etc/banner").write_text(BANNER)
    with (root / "run/lab/sshd_config").open("a") as config:
        config.write(SETTINGS)
    faults.restart_sshd(lab, lab.hosts[0].name)
    return lab


def target(lab: Lab, user: str, index: int = 0) -> Target:
    return Target(
        user,
        lab.hosts[index].address,
        user=user,
        port=lab.port,
        identity=str(lab.identity),
        known_hosts=str(lab.known_hosts),
        workspace=f"/home/{user}/workspace",
    )


@pytest.mark.parametrize("user", [*FIT, "single"])
def test_a_host_is_used_whatever_its_shell_prints(lab: Lab, user: str, tmp_path: Path):
    with connected([target(lab, user)]) as agents:
        agent = agents[user]
        data = bytes(range(256)) * 400
        agent.write(f"/home/{user}/folder/file", data)
        assert agent.read(f"/home/{user}/folder/file") == data
        fetch_folder(agent, f"/home/{user}/folder", tmp_path / "folder")
        assert (tmp_path / "folder" / "file").read_bytes() == data
        argv = ("sh", "-c", "echo $0 $1", "it's", "$HOME !!")
        ends: SimpleQueue = SimpleQueue()
        process = start(agent, ProcessSpec("run-1", "echo", argv), ends.put)
        assert ends.get(timeout=PATIENCE_S) is process
        assert process.stop().complete
        assert process.tail() == ("it's $HOME !!",)
        assert agent.call("facts", ports=[]).value["errors"] == {}


@pytest.mark.parametrize("user", UNFIT)
def test_a_host_that_runs_nothing_is_refused_with_what_it_printed(
    lab: Lab, user: str, monkeypatch: pytest.MonkeyPatch
):
    if user == "waiting":
        monkeypatch.setattr(start_agent, "START_S", 5.0)
    with (
        pytest.raises(InfrastructureError, match=rf"(?s)^{user}: .*{UNFIT[user][2]}") as caught,
        connected([target(lab, user)]),
    ):
        pass
    assert str(caught.value).isprintable()
    assert "python3" in str(caught.value)


def test_the_banner_of_a_host_that_lets_nobody_in_is_its_reason(lab: Lab):
    reason = "says .Access denied by pam_slurm_adopt: you have no active jobs on this node."
    with pytest.raises(HostUnreachable, match=reason), connected([target(lab, "adopted")]):
        pass


def test_the_reason_of_an_account_that_pam_refuses(lab: Lab):
    """As pam_slurm_adopt does: the key is right, and the account is not let in."""
    host = lab.hosts[1].name
    root = inside.root_of(lab, host)
    config = root / "run/lab/sshd_config"
    config.write_text(config.read_text().replace("UsePAM no", "UsePAM yes"))
    (root / "etc/reason").write_text("no active jobs on this node")
    (root / "etc/pam.d/sshd").write_text(
        "account required pam_echo.so file=/etc/reason\naccount required pam_deny.so\n"
    )
    faults.restart_sshd(lab, host)
    reason = "refuses the login and says .no active jobs on this node."
    with pytest.raises(HostUnreachable, match=reason), connected([target(lab, "root", 1)]):
        pass


def test_an_agent_that_dies_is_missed_while_its_shell_prints_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reconnect, "BEAT_S", 0.5)
    monkeypatch.setattr(reconnect, "SILENT_S", 3.0)
    with connected([target(lab, "babbler")]) as agents:
        agent = agents["babbler"]
        first = agent._link.channel
        for process in inside.processes(lab, lab.hosts[0].name):
            if process.command.startswith("python3 -ISB -c exec"):
                os.kill(process.pid, signal.SIGKILL)
        assert agent.call("runs", within_s=PATIENCE_S).value["holder"] is None
        assert agent._link.channel is not first
