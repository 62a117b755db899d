"""Whether a model's weights are complete on this host, and equal on all hosts. Reads only names."""

import os
import re
import zlib
from typing import Any, Dict, List, Optional, Tuple

MOST_FILES = 20000  # a model has fewer; do not read a whole disk
_SHARD = re.compile(r"^(.*)-\d+-of-(\d+)(\.[a-z]+)$")


def look(path: str) -> Dict[str, Any]:
    """Look at a model folder, or at a hub name's snapshot in this user's cache.

    Returns:
        `exists`; and, if it does, `folder`, `files`, `bytes`, `has_config`, `missing` (dangling
        links, and shards that the names of the other shards imply) and `fingerprint`, equal on two
        hosts if all names and sizes are equal.
    """
    folder = path if os.path.isabs(path) else _snapshot(path)
    if not folder or not os.path.isdir(folder):
        return {"exists": False}
    sizes = sorted(_files(folder))
    present = [(name, size) for name, size in sizes if size >= 0]
    text = "".join(f"{name}\0{size}\n" for name, size in present)
    return {
        "exists": True,
        "folder": folder,
        "files": len(present),
        "bytes": sum(size for _, size in present),
        "has_config": any(name == "config.json" for name, _ in present),
        "missing": [name for name, size in sizes if size < 0] + _missing_shards(present),
        "fingerprint": f"{zlib.crc32(text.encode('utf-8', 'replace')):08x}",
    }


def _snapshot(name: str) -> Optional[str]:
    """Find a hub name's snapshot, preferably of `main`. Layout as in huggingface_hub's docs."""
    home = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
    root = os.path.join(cache, "models--" + name.replace("/", "--"))
    try:
        snapshots = os.listdir(os.path.join(root, "snapshots"))
    except OSError:
        return None
    try:
        with open(os.path.join(root, "refs", "main"), encoding="ascii") as file:
            revision = file.read().strip()
    except (OSError, ValueError):
        revision = ""
    chosen = revision if revision in snapshots else max(snapshots, default="")
    return os.path.join(root, "snapshots", chosen) if chosen else None


def _files(folder: str) -> List[Tuple[str, int]]:
    """Return relative name and bytes of every file below; links are followed, -1 if dangling."""
    files: List[Tuple[str, int]] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith("."):
                continue
            full = os.path.join(parent, name)
            try:
                size = os.stat(full).st_size
            except OSError:
                size = -1
            files.append((os.path.relpath(full, folder), size))
        if len(files) > MOST_FILES:
            raise OSError(f"{folder} holds more than {MOST_FILES} files; name the model's folder")
    return files


def _missing_shards(present: List[Tuple[str, int]]) -> List[str]:
    names = {name for name, _ in present}
    missing: List[str] = []
    for stem, total, end in {m.groups() for m in map(_SHARD.match, names) if m}:
        every = (f"{stem}-{n:0{len(total)}}-of-{total}{end}" for n in range(1, int(total) + 1))
        missing += [name for name in every if name not in names]
    return sorted(missing)
