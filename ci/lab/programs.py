"""Find the system's programs and libraries that tests need; install missing ones as root."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.lab.lock import machine_lock
from ci.lab.run_tool import PATH, run_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

# Program → Debian package.
FOR_KEYS = {"sshd": "openssh-server", "ssh": "openssh-client"}
FOR_NAMESPACES = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux"}
# vLLM needs it on a CPU, see `libraries` in configs/versions.yaml. A night only asks for it.
FOR_SERVING = {"libnuma.so.1": "libnuma1"}
APT_LOCK_S = 300  # wait for another apt-get


def find_program(name: str) -> str | None:
    """Find a program, also in /sbin."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{PATH}")


def need_programs(root: bool | None = None) -> None:  # noqa: FBT001 - None asks the system
    """Check that a lab can be made here; as root on Debian, install missing programs.

    Args:
        root: True for network namespaces, False for plain sshds; None for the former if root.

    Raises:
        UserError: programs are missing; has the command that installs them.
    """
    wanted = FOR_KEYS | (FOR_NAMESPACES if root or (root is None and os.geteuid() == 0) else {})
    missing = sorted({package for name, package in wanted.items() if find_program(name) is None})
    if missing:
        install(missing)


def need_packages(packages: Mapping[str, str]) -> None:
    """Install packages whose file or program is missing.

    Args:
        packages: a program, or a pattern of paths from `/`, → Debian package.

    Raises:
        UserError: they are missing; has the command that installs them.
    """
    missing = [
        package
        for name, package in packages.items()
        if not (any(Path("/").glob(name)) if "/" in name else find_program(name))
    ]
    if missing:
        install(missing)


def need_libraries() -> None:
    """Check that tests can serve vLLM here; as root on Debian, install missing libraries.

    Raises:
        UserError: libraries are missing; has the command that installs them.
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
    """Install Debian packages without starting their services.

    Raises:
        UserError: not root, not Debian, or the installation failed; has the command to type.
    """
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UserError(f"tests and labs need {', '.join(packages)}; as root: {by_hand}")
    # Two installations together would fail on dpkg's lock and share the policy-rc.d file.
    with machine_lock():
        _install(packages, by_hand)


def _install(packages: list[str], by_hand: str) -> None:
    environment = [*("env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")]
    options = [*("-o", f"DPkg::Lock::Timeout={APT_LOCK_S}")]
    command = [*environment, "apt-get", *options, "install", "-y", "--no-install-recommends"]
    command += packages
    policy = _forbid_services()
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            run_tool(["apt-get", "update"], timeout_s=300)
            run_tool(command, timeout_s=600)
    except InfrastructureError as error:
        raise UserError(f"{error}; try by hand, as root: {by_hand}") from None
    finally:
        if policy:
            policy.unlink(missing_ok=True)


def find_compiler() -> str:
    """Find a C compiler; as root on Debian, install it if missing.

    Raises:
        UserError: there is no compiler and it could not be installed.
    """
    if (compiler := find_program("cc")) is None:
        install(["gcc", "libc6-dev"])
        compiler = find_program("cc") or find_program("gcc")
    if compiler is None:
        raise UserError("gcc was installed, but neither `cc` nor `gcc` is on the PATH; check it")
    return compiler


def _forbid_services() -> Path | None:
    # Debian starts the services that it installs, unless this program exits with 101.
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        return None
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    return policy
