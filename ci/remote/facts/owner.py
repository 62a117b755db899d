"""The owner of a process on this host, and its run. Reads /proc."""

from __future__ import annotations

import os

from ci.remote.supervise import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

COMMAND_CHARS = 300
_SECRETS = ("apikey", "token", "secret", "password", "passwd", "credential")


def user_name(uid: int) -> str:
    """Return the name of a user, or the number if it has no name."""
    import pwd  # noqa: PLC0415 - seldom needed

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def describe(pid: int) -> Dict[str, Any]:
    """Describe a process.

    Returns:
        `pid`, `command` (secrets covered, empty if unknown), `user` and `run`, which is
        `<run>/<process>` for a process of a run; null for an unknown value.
    """
    return {"pid": pid, "command": command_of(pid), "user": _user_of(pid), "run": run_of(pid)}


def command_of(pid: int) -> str:
    """Return the command line of a process in one line."""
    words = _read(f"/proc/{pid}/cmdline").decode("utf-8", "replace").split("\0")
    text = " ".join(covered(words)).strip()
    return text or _read(f"/proc/{pid}/comm").decode("utf-8", "replace").strip()


def covered(words: List[str]) -> List[str]:
    """Cover the value of every option and variable whose name looks like that of a secret."""
    shown: List[str] = []
    hide = False
    for word in words:
        name, equals, _ = word.partition("=")
        if hide and not word.startswith("-"):
            shown.append("***")
        elif equals and _names_secret(name):
            shown.append(name + "=***")
        else:
            shown.append(" ".join(word.split()))
        hide = not equals and word.startswith("-") and _names_secret(word)
    text = " ".join(shown)
    return shown if len(text) <= COMMAND_CHARS else [text[:COMMAND_CHARS] + "…"]


def _names_secret(name: str) -> bool:
    plain = name.lower().replace("api-key", "apikey").replace("api_key", "apikey")
    return any(secret in plain for secret in _SECRETS)


def run_of(pid: int) -> Optional[str]:
    """Return the run and process that a pid belongs to, from its environment or its cgroup."""
    return proc.run_of(pid) or None


def _user_of(pid: int) -> Optional[str]:
    try:
        return user_name(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        return None


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
