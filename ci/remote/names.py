"""Names of runs and processes, which become those of folders on hosts and controllers."""

from __future__ import annotations

LONGEST = 100
# Of every run: the process that holds its host, and the folder of what processes are given.
LEASE, INPUTS = "lease", "inputs"
STATE = ".lamplighter"  # in a workspace: below it a folder per host, then run, then process
LONGEST_HOST = 40
_CHARACTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def host_folder(nodename: str, machine_id: str) -> str:
    """Name a host's folder below `STATE`, for hosts may share a workspace, on NFS for example.

    It consists of the kernel's hostname and the first 8 characters of the machine id. Hostnames
    alone are equal on hosts that were never named, and machine ids alone on clones of an image. The
    boot id changes at a reboot, but `inv down` must find the state of a run from before it. The name
    in a cluster file is one controller's; another controller may use another name.

    Args:
        nodename: as uname(2) gives it.
        machine_id: content of /etc/machine-id; empty where there is none.
    """
    plain = "".join(letter if letter in _CHARACTERS else "_" for letter in nodename)
    digits = "".join(filter(str.isalnum, machine_id))[:8]
    name = plain.lstrip(".-")[: LONGEST_HOST - 9] or "host"
    return "%s-%s" % (name, digits) if digits and digits.isascii() else name


def is_name(text: str) -> bool:
    """Whether a run or a process may have this name: it cannot lead out of a folder."""
    return 0 < len(text) <= LONGEST and text[0] not in ".-" and not set(text) - _CHARACTERS
