"""Make the root of a bare Debian, also of another architecture, once; the workspace keeps it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from ci.errors import InfrastructureError, UserError
from ci.lab.emulate import need_emulator
from ci.lab.lock import lock_of
from ci.lab.programs import need_packages
from ci.lab.run_tool import run_tool
from ci.paths import workspace_of

DEBIAN = "bookworm"
ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}
PACKAGES = "python3,openssh-server"
DOWNLOAD_S = 600.0
# The packages' scripts, which would make these files, need minutes of an emulator and are not run.
_MERGED = ("bin", "sbin", "lib", "lib64")
_SSHD = "sshd:*:100:65534::/run/sshd:/usr/sbin/nologin\n"
_UNPACK = 'for file in "$0"/var/cache/apt/archives/*.deb; do dpkg-deb --fsys-tarfile "$file" |'
_UNPACK += ' tar -x -C "$1" --keep-directory-symlink --exclude="./usr/share/doc/*"'
_UNPACK += ' --exclude="./usr/share/locale/*" --exclude="./usr/share/man/*" || exit 1; done'


def root_of(machine: str, debian: str = DEBIAN) -> Path:
    """Return the root folder of a Debian with python3 and sshd, which has no ensurepip.

    Args:
        machine: the architecture, as `uname -m` prints it.
        debian: the release, e.g. trixie.

    Raises:
        UserError: this machine cannot run such programs, or lacks the tools to make the root.
        InfrastructureError: the packages could not be downloaded.
    """
    if machine not in ARCHITECTURES:
        raise UserError(f"{machine!r}: expected an architecture, {' or '.join(ARCHITECTURES)}")
    need_emulator(machine)
    roots = Path(workspace_of(""), "roots")
    roots.mkdir(parents=True, exist_ok=True)
    root = roots / f"{debian}-{machine}"
    with lock_of(roots):
        if not root.is_dir():
            need_packages({"debootstrap": "debootstrap", "dpkg-deb": "dpkg", "tar": "tar"})
            with tempfile.TemporaryDirectory(dir=roots, prefix="part-") as part:
                _make(Path(part), machine, debian).rename(root)
    return root


def _make(part: Path, machine: str, debian: str) -> Path:
    packages, new = part / "packages", part / "new"
    argv = ["debootstrap", "--download-only", f"--arch={ARCHITECTURES[machine]}"]
    argv += ["--variant=minbase", f"--include={PACKAGES}", debian, str(packages)]
    try:
        run_tool(argv, timeout_s=DOWNLOAD_S)
    except InfrastructureError as error:
        raise InfrastructureError(
            f"Debian {debian} for {machine} could not be downloaded: {error}"
        ) from error
    for name in _MERGED:
        (new / "usr" / name).mkdir(parents=True)
        (new / name).symlink_to(f"usr/{name}")
    run_tool(["sh", "-c", _UNPACK, str(packages), str(new)], timeout_s=DOWNLOAD_S)
    _write_accounts(new)
    return new


def _write_accounts(root: Path) -> None:
    for name in ("passwd", "group"):
        shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", root / "etc" / name)
    with (root / "etc/passwd").open("a") as accounts:
        accounts.write(_SSHD)
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
