"""The sampler of hosts as one file that a host's Python runs. Reads only ci/remote."""

from __future__ import annotations

import functools
import io
import zipfile

from ci.agent.bootstrap import REMOTE

NAME = "telemetry.zip"
MAIN = "from ci.remote.telemetry.sampler import main\nmain()\n"
# What the sampler imports, below ci/remote.
PARTS = (
    "lean.py",
    "names.py",
    "poller.py",
    "facts/accelerators.py",
    "facts/device_tools.py",
    "facts/owner.py",
    "supervise/*.py",
    "telemetry/*.py",
)
# The oldest time that the format knows: the same sources make the same file.
TIME = (1980, 1, 1, 0, 0, 0)


@functools.cache
def archive() -> bytes:
    """Return a ZIP file with a `__main__`, as `zipapp` makes them."""
    paths = sorted({path for part in PARTS for path in REMOTE.glob(part)})
    texts = {f"ci/remote/{path.relative_to(REMOTE)}": path.read_text("utf-8") for path in paths}
    folders = {name.rpartition("/")[0] for name in texts}
    packages = {f"{folder}/__init__.py": "" for folder in ("ci", *sorted(folders))}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in {"__main__.py": MAIN, **packages, **texts}.items():
            entry = zipfile.ZipInfo(name, TIME)
            packed.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return file.getvalue()
