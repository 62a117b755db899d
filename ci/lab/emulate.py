"""Let this machine run programs of another architecture, with QEMU and the kernel's binfmt_misc."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.lab.programs import need_packages
from ci.lab.run_tool import run_tool

if TYPE_CHECKING:
    from ci.lab.model import Lab

# What QEMU's package gives systemd-binfmt: `:name:M::magic:mask:interpreter:flags`.
REGISTRATIONS = "usr/lib/binfmt.d/qemu-{machine}*.conf"
FOLDER = "/proc/sys/fs/binfmt_misc"
# The flag with which the kernel opens the interpreter at once, here, and not in a host's root.
OPEN_NOW = "F"
_FORGET = f'mount -t binfmt_misc none {FOLDER}; cd {FOLDER}; if [ -e "$0" ]; then echo -1 >"$0"; fi'


def need_emulator(machine: str) -> None:
    """Check that this machine can run programs of an architecture; as root, install QEMU.

    Raises:
        UserError: it cannot; has the reason.
    """
    if machine == platform.machine():
        return
    if "binfmt_misc" not in Path("/proc/filesystems").read_text().split():
        raise UserError(
            f"programs for {machine} cannot be run here: this kernel has no binfmt_misc; try "
            "`modprobe binfmt_misc`"
        )
    need_packages({REGISTRATIONS.format(machine=machine): "qemu-user-static"})
    _registration(machine)


def emulator_of(lab: Lab) -> str:
    """Return what to write to binfmt_misc for a lab's hosts; empty where it needs no emulator."""
    if not lab.machine or lab.machine == platform.machine():
        return ""
    _, _, *fields, flags = _registration(lab.machine).split(":")
    return ":".join(["", _name(lab), *fields, flags.replace(OPEN_NOW, "") + OPEN_NOW])


def forget_emulator(lab: Lab) -> None:
    """Remove what the lab's hosts registered, where the kernel has not done so with the hosts."""
    if lab.machine and lab.machine != platform.machine():
        run_tool(["unshare", "--mount", "sh", "-c", _FORGET, _name(lab)])


def _name(lab: Lab) -> str:
    return f"lamplighter-{lab.key}"


def _registration(machine: str) -> str:
    for path in sorted(Path("/").glob(REGISTRATIONS.format(machine=machine))):
        lines = [line for line in path.read_text().splitlines() if line.startswith(":")]
        if lines:
            return lines[0]
    raise UserError(f"programs for {machine} cannot be run here: QEMU has no emulator for them")
