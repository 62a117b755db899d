"""This host's folder in a workspace, which hosts may share, on NFS for example.

Its name consists of the kernel's hostname, the machine id and an address of the hardware: hostnames
are equal on hosts that were never named, and machine ids on clones of an image. But hosts are
renamed, and network cards replaced, while a run must stay known. So the folder has a file that says
what host it is of, and a host keeps its folder under the first name. The boot id changes at a
reboot, after which `inv down` must find a run from before it.
"""

from __future__ import annotations

import os

from ci.remote.names import is_name
from ci.remote.supervise.store import read_json, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List

    from ci.remote.supervise.store import State

STATE = ".lamplighter"  # in a workspace: below it a folder per host, then run, then process
IDENTITY = "host.json"
LONGEST_HOST = 40
NETWORK = "/sys/class/net"
MACHINE_ID = "/etc/machine-id"
# Addresses that are equal on many hosts: of Calico, and of containers in Docker's networks.
COMMON = ("ee:ee:ee:ee:ee:ee", "02:42:")

_names: Dict[str, str] = {}  # workspace → name; it stays while this process lives
_settled: List[str] = []  # the workspace of this agent


def host_folder(nodename: str, identity: State) -> str:
    """Name the folder of a host that has none yet.

    Args:
        nodename: as uname(2) gives it.
        identity: as `identity` returns it.
    """
    plain = "".join(
        letter if letter in "._-" or (letter.isascii() and letter.isalnum()) else "_"
        for letter in nodename
    )
    machine = "".join(filter(str.isalnum, identity["machine_id"]))[:8]
    hardware = "".join(filter(str.isalnum, min(identity["hardware"], default="")))[-6:]
    parts = [part for part in (machine, hardware) if part and part.isascii()]
    room = LONGEST_HOST - sum(len(part) + 1 for part in parts)
    return "-".join([plain.lstrip(".-")[:room] or "host", *parts])


def identity() -> State:
    """Return what identifies this host: its machine id and the addresses of its network cards.

    `hardware` are those of cards, which are this host's only, but not over USB, for management
    controllers all have the same. `addresses` are those of other interfaces, without cards.
    """
    try:
        with open(MACHINE_ID, "rb") as file:
            machine_id = file.read(64).decode("ascii", "replace").strip()
    except OSError:
        machine_id = ""
    hardware: List[str] = []
    others: List[str] = []
    for name in sorted(os.listdir(NETWORK)) if os.path.isdir(NETWORK) else ():
        folder = os.path.join(NETWORK, name)
        try:
            with open(os.path.join(folder, "address")) as file:
                address = file.read().strip()
        except (OSError, ValueError):
            continue
        bus = os.path.join(folder, "device", "subsystem")
        if address.strip("0:") and not address.startswith(COMMON):
            on_usb = os.path.basename(os.path.realpath(bus)) == "usb"
            (hardware if os.path.exists(bus) and not on_usb else others).append(address)
    return {
        "machine_id": machine_id,
        "hardware": hardware,
        "addresses": [] if hardware else others,
    }


def same_host(first: State, second: State) -> bool:
    """Return whether two identities are of one host; the first may come from a damaged file."""
    if first.get("machine_id") != second["machine_id"]:
        return False
    own = {*second["hardware"], *second["addresses"]}
    lists = (first.get("hardware"), first.get("addresses"))
    return any(address in own for each in lists if isinstance(each, list) for address in each)


def find_folder(above: str, nodename: str, own: State) -> str:
    """Return the name of the folder of the host with this identity, which may be a new name."""
    name = host_folder(nodename, own)
    known = filter(is_name, os.listdir(above) if os.path.isdir(above) else ())
    for each in sorted(known, key=lambda each: (each != name, each)):
        if same_host(read_json(os.path.join(above, each, IDENTITY)), own):
            return each
    return name


def host_name(workspace: str) -> str:
    """Return the name of this host's folder in a workspace."""
    if workspace not in _names:
        above = os.path.join(workspace, STATE)
        _names[workspace] = find_folder(above, os.uname().nodename, identity())
    return _names[workspace]


def settle(workspace: str) -> str:
    """Make a workspace that of this agent; return the name of this host's folder in it."""
    _settled[:] = [os.path.expanduser(workspace)]
    return own_name()


def own_name() -> str:
    """Return the name of this host's folder in the workspace of this agent."""
    return host_name("".join(_settled))


def state_folder(workspace: str) -> str:
    """Return this host's own folder for the state of runs."""
    return os.path.join(workspace, STATE, host_name(workspace))


def make_state_folder(workspace: str) -> str:
    """Make this host's folder, and note in it what host it is of; return it."""
    folder = state_folder(workspace)
    os.makedirs(folder, exist_ok=True)
    path, own = os.path.join(folder, IDENTITY), identity()
    if read_json(path) != own:
        write_json(path, own)
    return folder
