"""Name the programs that start a server: vLLM itself, wrappers before it, scripts. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "mksh", "rbash"})
# Their scripts have another syntax.
OTHER_SHELLS = frozenset({"fish", "csh", "tcsh", "busybox"})
SCRIPTS = (".sh", ".bash", ".zsh", ".csh", ".fish")
# They run the command line that follows their own options.
WRAPPERS = frozenset(
    {"numactl", "taskset", "nice", "ionice", "chrt", "stdbuf", "setarch", "prlimit", "timeout"}
)


def own_words(argv: Sequence[str]) -> Sequence[str]:
    """Return a command line without the wrapper before it."""
    if not argv or _name(argv[0]) not in WRAPPERS:
        return argv
    starts = (at for at, word in enumerate(argv[1:], 1) if _is_program(word))
    return argv[next(starts, 0) :]


def is_script(argv: Sequence[str]) -> bool:
    """Return whether a shell script starts the server, so that its options are unknown."""
    words = own_words(argv)
    return bool(words) and (_name(words[0]) in SHELLS | OTHER_SHELLS or words[0].endswith(SCRIPTS))


def _name(word: str) -> str:
    return PurePosixPath(word).name


def _is_program(word: str) -> bool:
    name = _name(word)
    return (
        name == "vllm"
        or name in SHELLS | OTHER_SHELLS
        or name.startswith("python")
        or name.endswith(".sh")
    )
