"""Real sshds on loopback addresses, run as the current user, gone with the test."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from hosts_here import held_port

from ci.errors import LamplighterError
from ci.inventory.target import Target

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass
class Sshd:
    """An sshd; it may be stopped and started again at the same port."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen | None = None
    holding: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def key(self):
        return (self.folder / "host.pub").read_text().split()[:2]

    @property
    def known_name(self):
        return f"[{self.address}]:{self.port}"

    @property
    def known_line(self):
        return f"{self.known_name} {' '.join(self.key)}\n"

    @property
    def accepted(self):
        """How many TCP connections it has seen, beside our own look at its start."""
        return (self.folder / "log").read_text().count("Connection from ") - 1

    def target(self, name, **others):
        fields = {
            "user": getpass.getuser(),
            "port": self.port,
            "identity": str(self.folder.parent / "id"),
            "known_hosts": str(self.folder.parent / "known_hosts"),
        }
        return Target(name, self.address, **{**fields, **others})

    def start(self):
        (self.folder / "log").write_text("")
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", self.folder / "config", "-E", self.folder / "log"],
        )
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                with socket.create_connection((self.address, self.port), timeout=120) as sock:
                    assert sock.recv(4) == b"SSH-"
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()

    def end(self):
        """End it for good, and let go of its port."""
        self.kill()
        self.holding.close()

    def kill(self):
        """End it and every session of it, at once."""
        if self.process is None:
            return
        os.kill(self.process.pid, signal.SIGSTOP)  # it makes no more children
        for pid in descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process = None


def descendants(pid):
    pids = []
    for line in subprocess.run(
        ["ps", "-eo", "pid=,ppid="],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines():
        child, parent = map(int, line.split())
        if parent == pid:
            pids += [child, *descendants(child)]
    return pids


def make_key(path, *options):
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *options, "-f", path],
        check=True,
    )


def make_sshd(folder, address="127.0.0.1", *lines):
    """Make and start one; its key is known, and the key `id` beside its folder is let in."""
    folder.mkdir()
    home = folder / "home"
    home.mkdir()
    make_key(folder / "host")
    holding = contextlib.ExitStack()
    port = holding.enter_context(held_port(address))
    settings = [
        f"HostKey {folder}/host",
        f"ListenAddress [{address}]:{port}",
        f"AuthorizedKeysFile {folder.parent}/id.pub",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "LogLevel VERBOSE",
        f"SetEnv HOME={home}",  # its user's shell start-up files are not part of the test
        *lines,
    ]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "config"
    for more in (["PerSourcePenalties no"], []):  # the first, where this sshd knows it
        config.write_text("\n".join([*settings, *more]) + "\n")
        checked = subprocess.run([SSHD, "-t", "-f", config], capture_output=True, check=False)
        if checked.returncode == 0:
            break
    started = Sshd(folder, address, port, holding=holding)
    started.start()
    with (folder.parent / "known_hosts").open("a") as file:
        file.write(started.known_line)
    return started


def write_config(place, text):
    file = place / "home/.ssh/config"
    file.write_text(textwrap.dedent(text))
    return file


def by_openssh(place, name):
    """Whether OpenSSH's client logs in."""
    ssh = [
        "ssh",
        "-F",
        place / "home/.ssh/config",
        "-oBatchMode=yes",
        "-oControlPath=none",
        "--",
        name,
        "echo",
        "in",
    ]
    done = subprocess.run(
        ssh, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=120
    )
    return done.stdout == b"in\n"


def here(connections, name, **others):
    """Whether we log in; "" or why not."""
    try:
        channel = connections().open(Target("h1", name, **others)).open(["echo", "in"])
    except LamplighterError as error:
        return str(error)
    channel.finish()
    assert b"".join(iter(channel.read, b"")) == b"in\n"
    return ""


def shared_config(place, host, *lines):
    settings = [
        "Host alias",
        "HostName 127.0.0.1",
        f"Port {host.port}",
        f"UserKnownHostsFile {place}/known_hosts",
        *lines,
    ]
    write_config(place, "\n ".join(settings) + "\n")
