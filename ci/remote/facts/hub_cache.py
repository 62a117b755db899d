"""Find a model as vLLM does: a folder, or a snapshot in the cache of a hub; reads no weights.

The layouts are those of huggingface_hub 2.4 (docs: guides/manage-cache) and of modelscope 1.40
(`find_reusable_legacy_repo_dir` of hub/utils/utils.py lists the older ones).
"""

from __future__ import annotations

import os
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Mapping, Tuple

TRUE = ("1", "ON", "YES", "TRUE")  # as huggingface_hub reads its variables
FOLDER, HUGGING_FACE, MODELSCOPE = "", "huggingface", "modelscope"


# Where a model is, or where a hub's client would look for it: `hub`, FOLDER, HUGGING_FACE or
# MODELSCOPE; `folder` of the model, None if there is none; `revision`, the commit or revision of a
# snapshot, if its layout has one; `others`, the revisions that are here instead of the wanted one;
# `cache`, the folder that a download would fill, empty for FOLDER; `offline`, whether the process
# may ask no hub. Importing typing.NamedTuple takes 5 ms on each host.
Located = namedtuple(  # noqa: PYI024
    "Located", ("hub", "folder", "revision", "others", "cache", "offline"), defaults=(False,)
)


def locate(
    name: str, revision: str, env: Mapping[str, str], download_dir: str, cwd: str
) -> Located:
    """Find a model, looking where vLLM's hub clients look.

    Args:
        name: a folder, or a name on a hub.
        revision: a branch, tag or commit; empty for the hub's default.
        env: the process's own variables; they win over this process's.
        download_dir: `--download-dir`; empty for the client's cache.
        cwd: the process's working folder; empty if unknown.
    """
    values = {**os.environ, **env}
    path = os.path.join(cwd, name) if cwd else name
    if os.path.isabs(name) or os.path.isdir(path):
        return Located(FOLDER, path if os.path.isdir(path) else None, None, [], "")
    offline = values.get("HF_HUB_OFFLINE") or values.get("TRANSFORMERS_OFFLINE") or ""
    uses_modelscope = values.get("VLLM_USE_MODELSCOPE", "").strip().lower() in ("1", "true")
    look = _modelscope if uses_modelscope else _hugging_face
    # vLLM passes HF_HUB_OFFLINE on to ModelScope's client.
    return look(name, revision, values, download_dir)._replace(offline=offline.upper() in TRUE)


def _hugging_face(
    name: str, revision: str, values: Mapping[str, str], download_dir: str
) -> Located:
    home = values.get("HF_HOME") or os.path.join(
        values.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    named = values.get("HF_HUB_CACHE") or values.get("HUGGINGFACE_HUB_CACHE")
    cache = _expanded(download_dir or named or os.path.join(home, "hub"), values)
    root = os.path.join(cache, "models--" + name.replace("/", "--"))
    there, wanted = _snapshots(root), revision or "main"
    chosen = wanted if wanted in there else _ref(root, wanted)
    folder = os.path.join(root, "snapshots", chosen) if chosen in there else None
    others = [] if folder else there
    return Located(HUGGING_FACE, folder, chosen if folder else None, others, root)


def _modelscope(name: str, revision: str, values: Mapping[str, str], download_dir: str) -> Located:
    default = "~/.cache/modelscope"
    named = download_dir or values.get("MODELSCOPE_CACHE")
    bases = [
        _expanded(base, values) for base in ([named] if named else [default, default + "/hub"])
    ]
    root = os.path.join(bases[0], "models", name.replace("/", "--"))
    there = _snapshots(root)
    # The client prefers this layout of its earlier versions, whatever the revision.
    owner, _, model = name.rpartition("/")
    earlier = os.path.join("models", owner, model.replace(".", "___"))
    for base in (bases[0], os.path.join(bases[0], "hub")):
        if _has_files(os.path.join(base, earlier)):
            return Located(MODELSCOPE, os.path.join(base, earlier), None, [], root)
    usual = [revision] if revision else ["master", "main", *(there if len(there) == 1 else [])]
    chosen = next((each for each in usual if each in there), None)
    if chosen:
        folder = os.path.join(root, "snapshots", chosen)
        return Located(MODELSCOPE, folder, chosen, [], root)
    flat = next((path for path in _flat(bases, name) if _has_files(path)), None)
    return Located(MODELSCOPE, flat, None, [] if flat else there, root)


def _flat(bases: List[str], name: str) -> Iterator[str]:
    """Yield the folders of the layouts without snapshots; `.` may be written as `___`."""
    owner, _, model = name.rpartition("/")
    for base in bases:
        for kind in ("models", "", "hub/models", "hub"):
            for written in (model.replace(".", "___"), model):
                yield os.path.join(base, kind, owner, written)


def identity(path: str) -> str:
    """Return a text that is the same on hosts with one folder, or one nearest parent of it."""
    while True:
        try:
            seen = os.stat(path)
        except OSError:
            parent = os.path.dirname(path)
            if parent == path:
                return ""
            path = parent
            continue
        return "%s %d-%d" % (path, seen.st_ino, seen.st_ctime_ns)


def _snapshots(root: str) -> List[str]:
    try:
        return sorted(os.listdir(os.path.join(root, "snapshots")))
    except OSError:
        return []


def _ref(root: str, name: str) -> str:
    try:
        with open(os.path.join(root, "refs", name), encoding="ascii") as file:
            return file.read(200).strip()
    except (OSError, ValueError):
        return ""


def _has_files(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False


def _expanded(path: str, values: Mapping[str, str]) -> str:
    home = values.get("HOME") or os.path.expanduser("~")
    if "$" in path:
        import string  # noqa: PLC0415 - seldom needed

        path = string.Template(path).safe_substitute(values)
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def of_request(request: Dict[str, Any]) -> Tuple[str, str, Dict[str, str], str, str]:
    """Return the arguments of `locate` from a request's JSON."""
    env = {str(key): str(value) for key, value in (request.get("env") or {}).items()}
    named = (str(request.get(key) or "") for key in ("name", "revision", "download_dir", "cwd"))
    name, revision, download_dir, cwd = named
    return name, revision, env, download_dir, cwd
