"""Write sshd's configuration and the keys of a lab, only in the lab's folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ci.lab.run_tool import PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.lab.model import Lab

MIN_PYTHON = (3, 8)
PENALTIES_SINCE = (9, 8)


def make_key(path: Path, comment: str) -> str:
    """Make an ed25519 key at `path` and its public key beside it; return the public line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path.touch(mode=0o600)
    path.write_bytes(private)
    line = f"{public.decode()} {comment}\n"
    path.with_name(path.name + ".pub").write_text(line)
    return line


def known_hosts_line(address: str, port: int, public: str) -> str:
    """Return the line of known_hosts for a host's public key."""
    host = address if port == 22 else f"[{address}]:{port}"  # noqa: PLR2004 - ssh's own default
    kind, key = public.split()[:2]
    return f"{host} {kind} {key}\n"


def config(
    folder: str, address: str, port: int, environment: Mapping[str, str], version: tuple[int, int]
) -> str:
    """Return the sshd_config of a host.

    Args:
        folder: folder of its key and its authorized keys, as the host sees it.
        address: the address to listen on.
        port: the port to listen on.
        environment: variables of every session.
        version: version of the sshd that will read it.
    """
    lines = [
        f"ListenAddress {address}",
        f"Port {port}",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "StrictModes no",
        "UseDNS no",
        "PrintMotd no",
        "PrintLastLog no",
        "MaxStartups 1000",
        "MaxSessions 1000",
        "MaxAuthTries 20",
        "Subsystem sftp internal-sftp",
    ]
    if version >= PENALTIES_SINCE:
        lines.append("PerSourcePenalties no")
    if environment:
        pairs = " ".join(f'"{name}={value}"' for name, value in environment.items())
        lines.append(f"SetEnv {pairs}")
    return "\n".join(lines) + "\n"


def version_of_ssh() -> tuple[int, int]:
    """Return the version of OpenSSH on this machine, which client and server share."""
    output = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    match = re.search(r"OpenSSH_(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def path_with_python() -> str:
    """Return a PATH for the sessions; empty if sshd's own PATH has a python3 that is new enough."""
    usual = shutil.which("python3", path=PATH)
    check = f"import sys; sys.exit(sys.version_info < {MIN_PYTHON})"
    if usual and subprocess.run([usual, "-ISc", check], check=False).returncode == 0:
        return ""
    return f"{Path(sys.executable).parent}:{PATH}"


def write_host_files(lab: Lab, name: str, environment: Mapping[str, str] | None = None) -> None:
    """Write sshd's files for a host into `<folder>/hosts/<name>/etc`; an existing key is kept."""
    host = lab.host(name)
    files = lab.home(name) / "etc"
    files.mkdir(parents=True, exist_ok=True)
    if not (files / "host_key").exists():
        make_key(files / "host_key", name)
    shutil.copy(lab.identity.with_name("identity.pub"), files / "authorized_keys")
    folder = "/run/lab" if lab.root else str(files)
    address = "0.0.0.0" if lab.root else host.address  # noqa: S104 - the host has its own network
    extra = {"PATH": lab.path} if lab.path else {}
    version = (0, 0) if lab.base else version_of_ssh()
    text = config(folder, address, lab.port, {**extra, **(environment or {})}, version)
    (files / "sshd_config").write_text(text)


def write_keys(lab: Lab) -> None:
    """Make the lab's keys, sshd's files for every host, and known_hosts."""
    make_key(lab.identity, f"lamplighter-lab-{lab.name}")
    lines = []
    for host in lab.hosts:
        write_host_files(lab, host.name)
        public = (lab.home(host.name) / "etc/host_key.pub").read_text()
        lines.append(known_hosts_line(host.address, lab.port, public))
    lab.known_hosts.write_text("".join(lines))


def last_log_line(lab: Lab, name: str) -> str:
    """Return the last line of a host's sshd log, for a message."""
    log = lab.home(name) / "sshd.log"
    lines = log.read_text().strip().splitlines() if log.exists() else []
    return f"its last log line: {lines[-1]}" if lines else "its log is empty"
