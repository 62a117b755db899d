"""sshd's configuration and the keys of a lab. Writes into the lab's folder only."""

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

OLDEST_PYTHON = (3, 8)
PENALTIES_SINCE = (9, 8)


def make_key(path: Path, comment: str) -> str:
    """Make an ed25519 key at `path` and its public half beside it; gives the public line."""
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
    """One line of known_hosts for a host's public key."""
    where = address if port == 22 else f"[{address}]:{port}"  # noqa: PLR2004 - ssh's own default
    kind, key = public.split()[:2]
    return f"{where} {kind} {key}\n"


def config(
    folder: str, address: str, port: int, environment: Mapping[str, str], version: tuple[int, int]
) -> str:
    """sshd_config for one host.

    Args:
        folder: where its key and the keys that it lets in are, as the host sees it.
        address: where it listens.
        port: there.
        environment: what every session gets.
        version: of the sshd that will read this.
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
    """The version of OpenSSH here; client and server come from one source."""
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def path_with_python() -> str:
    """PATH for the sessions; empty when sshd's own already finds a python3 that is new enough."""
    usual = shutil.which("python3", path=PATH)
    check = f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    if usual and subprocess.run([usual, "-ISc", check], check=False).returncode == 0:
        return ""
    return f"{Path(sys.executable).parent}:{PATH}"


def write_host_files(lab: Lab, name: str, environment: Mapping[str, str] | None = None) -> None:
    """Write sshd's files for one host into `<folder>/hosts/<name>/etc`; a key only once."""
    host = lab.host(name)
    files = lab.home(name) / "etc"
    files.mkdir(parents=True, exist_ok=True)
    if not (files / "host_key").exists():
        make_key(files / "host_key", name)
    shutil.copy(lab.identity.with_name("identity.pub"), files / "authorized_keys")
    seen_as = "/run/lab" if lab.root else str(files)
    address = "0.0.0.0" if lab.root else host.address  # noqa: S104 - its network is its own
    extra = {"PATH": lab.path} if lab.path else {}
    text = config(seen_as, address, lab.port, {**extra, **(environment or {})}, version_of_ssh())
    (files / "sshd_config").write_text(text)


def write_keys(lab: Lab) -> None:
    """Make the lab's keys, sshd's files for every host, and the known_hosts that names them."""
    make_key(lab.identity, f"lamplighter-lab-{lab.name}")
    lines = []
    for host in lab.hosts:
        write_host_files(lab, host.name)
        public = (lab.home(host.name) / "etc/host_key.pub").read_text()
        lines.append(known_hosts_line(host.address, lab.port, public))
    lab.known_hosts.write_text("".join(lines))


def last_word(lab: Lab, name: str) -> str:
    """What a host's sshd logged last, for a message."""
    log = lab.home(name) / "sshd.log"
    lines = log.read_text().strip().splitlines() if log.exists() else []
    return f"last said: {lines[-1]}" if lines else "said nothing"
