"""Whether a model's weights are on this host, whole, readable, and as elsewhere.

Reads names, sizes, indices and the headers of files of weights, but no weights.
"""

from __future__ import annotations

import json
import os
import re
import zlib

from ci.remote.facts import hub_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Tuple

MOST_FILES = 20000  # a path that holds more is no model; do not read a whole disk
MAX_INDEX_BYTES = 1 << 26
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format itself
ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
# What ModelScope's client (1.40) leaves of a file when it is interrupted: a part, or ranges.
_PART = re.compile(r"^(.+)\.(?:incomplete|parallel_tmp)$|^(.+\.[a-z]+)_\d+_\d+$")
_SHARD = re.compile(r"^(.*)-\d+-of-(\d+)(\.[a-z]+)$")


def look(request: Dict[str, Any]) -> Dict[str, Any]:
    """Look at a model folder, or at a hub name's snapshot in the cache that vLLM would use.

    Args:
        request: `name`, `revision`, `env`, `download_dir` and `cwd` as of `hub_cache.locate`;
            with `contents` false, the folder is only located; with `expand`, a name that begins
            with `~` is below the user's home.

    Returns:
        `exists`, `folder`, `hub`, `revision`, `others`, `cache`, `shared` (equal on hosts with one
        store) and `offline`; and, where it exists, `files`, `bytes`, `has_config`,
        `has_weights`, `missing` (files that an index or a name speaks of, those of
        which there is a part, and dangling links),
        `damaged` (files whose size is not that of their header), `unreadable`, and `fingerprint`,
        the same on two hosts when all names and sizes are.
    """
    if request.get("expand"):
        request = {**request, "name": os.path.expanduser(str(request.get("name") or ""))}
    located = hub_cache.locate(*hub_cache.of_request(request))
    known: Dict[str, Any] = {
        "exists": located.folder is not None,
        "hub": located.hub,
        "revision": located.revision,
        "others": located.others[:10],
        "cache": located.cache,
        "shared": hub_cache.identity(located.cache or located.folder or "/"),
        "offline": located.offline,
    }
    if not located.folder or request.get("contents") is False:
        return {**known, "folder": located.folder}
    return {**known, "folder": located.folder, **_contents(located.folder)}


def _contents(folder: str) -> Dict[str, Any]:
    sizes = dict(sorted(_files(folder)))
    present = {name: size for name, size in sizes.items() if size >= 0}
    text = "".join("%s\0%d\n" % pair for pair in present.items())
    unreadable = [name for name in present if not os.access(os.path.join(folder, name), os.R_OK)]
    readable = [name for name in present if name not in unreadable]
    dangling = [name for name, size in sizes.items() if size < 0]
    parts = [match[1] or match[2] for match in map(_PART.match, present) if match]
    wanted = {*parts, *_missing_shards(present), *_named_by_indices(folder, readable)}
    return {
        "files": len(present),
        "bytes": sum(present.values()),
        "has_config": "config.json" in present or "params.json" in present,
        "has_weights": any(name.endswith(ENDINGS) for name in present),
        "missing": sorted({*dangling, *(name for name in wanted if name not in present)}),
        "damaged": [name for name in readable if _is_damaged(folder, name, present[name])],
        "unreadable": unreadable,
        "fingerprint": "%08x" % zlib.crc32(text.encode("utf-8", "replace")),
    }


def _files(folder: str) -> List[Tuple[str, int]]:
    """Return relative name and bytes of every file below; links are followed, -1 if dangling."""
    listed: List[Tuple[str, int]] = []
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
            listed.append((os.path.relpath(full, folder), size))
        if len(listed) > MOST_FILES:
            raise OSError(
                "%s holds more than %d files; name the model's folder" % (folder, MOST_FILES)
            )
    return listed


def _missing_shards(present: Dict[str, int]) -> Iterator[str]:
    """Yield the shards that `NAME-00001-of-00003.safetensors` speaks of."""
    for stem, total, end in {m.groups() for m in map(_SHARD.match, present) if m}:
        if len(total) <= len(str(MOST_FILES)):
            for n in range(1, int(total) + 1):
                yield "%s-%s-of-%s%s" % (stem, str(n).zfill(len(total)), total, end)


def _named_by_indices(folder: str, names: List[str]) -> Iterator[str]:
    """Yield the files that the indices of the folder name, as `model.safetensors.index.json`."""
    whole = "model.safetensors" in names or "consolidated.safetensors" in names
    for name in names:
        # A repository may have the index of a format whose files were left out on purpose.
        kind = name[: -len(".index.json")].rpartition(".")[2]
        other = kind != "safetensors" and any(one.endswith(".safetensors") for one in names)
        if "/" in name or not name.endswith(".index.json") or whole or other:
            continue
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                index = json.loads(file.read(MAX_INDEX_BYTES))
            yield from {str(value) for value in index["weight_map"].values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield "%s (it cannot be read)" % name


def _is_damaged(folder: str, name: str, size: int) -> bool:
    """Whether a safetensors file has another size than its header says (8 bytes, JSON, tensors)."""
    if not name.endswith(".safetensors"):
        return False
    try:
        with open(os.path.join(folder, name), "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(MAX_HEADER_BYTES, size):
                return True
            header = json.loads(file.read(length).decode("utf-8"))
        tensors = [value for key, value in header.items() if key != "__metadata__"]
        return 8 + length + max([int(value["data_offsets"][1]) for value in tensors] or [0]) != size
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return True
