"""The system's programs and libraries that tests need: found, and installed where root may."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from ci.errors import InfrastructureError, UserError
from ci.lab.lock import one_at_a_time
from ci.lab.run_tool import PATH, run_tool

# Program → Debian's package that has it.
FOR_KEYS = {"sshd": "openssh-server", "ssh": "openssh-client"}
FOR_NAMESPACES = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux"}
# vLLM's own need on a CPU, `libraries` of configs/versions.yaml. A night asks the operator for it.
FOR_SERVING = {"libnuma.so.1": "libnuma1"}
OTHERS_S = 300  # how long another's apt-get is waited for


def find_program(name: str) -> str | None:
    """Find a program, also in /sbin."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PATH}")


def need_programs(root: bool | None = None) -> None:  # noqa: FBT001 - None asks the system
    """See that a lab can be made here; as root on Debian, install what is missing.

    Args:
        root: for a lab of network namespaces, or of plain sshds; None for what we may make.

    Raises:
        UserError: programs are missing; says what to type.
    """
    wanted = FOR_KEYS | (FOR_NAMESPACES if root or (root is None and os.geteuid() == 0) else {})
    missing = sorted({package for name, package in wanted.items() if find_program(name) is None})
    if missing:
        install(missing)


def need_libraries() -> None:
    """See that vLLM can be served here by tests; as root on Debian, install what is missing.

    Raises:
        UserError: libraries are missing; says what to type.
    """
    missing = sorted({package for name, package in FOR_SERVING.items() if not _loads(name)})
    if missing:
        install(missing)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install(packages: list[str]) -> None:
    """Install Debian packages, starting none of their services.

    Raises:
        UserError: not root, not Debian, or the installation failed; says what to type.
    """
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UserError(f"tests and labs need {', '.join(packages)}; as root: {by_hand}")
    # Two installations at once would break on dpkg's lock, and share the file that forbids
    # services; what the first has installed, the second finds up to date.
    with one_at_a_time():
        _install(packages, by_hand)


def _install(packages: list[str], by_hand: str) -> None:
    environment = [*("env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")]
    patient = [*("-o", f"DPkg::Lock::Timeout={OTHERS_S}")]
    command = [*environment, "apt-get", *patient, "install", "-y", "--no-install-recommends"]
    command += packages
    kept_off = _forbid_services()
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            run_tool(["apt-get", "update"], timeout_s=300)
            run_tool(command, timeout_s=600)
    except InfrastructureError as error:
        raise UserError(f"{error}; try by hand, as root: {by_hand}") from None
    finally:
        if kept_off:
            kept_off.unlink(missing_ok=True)


def find_compiler() -> str:
    """Find a C compiler, installing one where that is possible.

    Raises:
        UserError: there is none and it could not be installed.
    """
    if (found := find_program("cc")) is None:
        install(["gcc", "libc6-dev"])
        found = find_program("cc") or find_program("gcc")
    if found is None:
        raise UserError("a compiler was installed, but `cc` is not found")
    return found


def _forbid_services() -> Path | None:
    # Debian starts a service that it installs, unless this program says no.
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        return None
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    return policy
