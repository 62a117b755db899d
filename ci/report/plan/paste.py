"""A command of the plan → lines for a shell: folder, files, environment, argv. Pure.

Nothing is indented, so that what stands between two comments can be pasted as it is.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ci.case.variables import HOST_VARIABLES
from ci.record.secrets import hide_in_argv, hide_in_env, hide_in_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A command that is no longer stands on one line.
_LINE = 100
_END = "END_OF_FILE"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_HOME = re.compile(r"(?:^|(?<=[:=]))~/")
_OURS = "|".join(HOST_VARIABLES)
_EXPANDED = re.compile(rf"\$(?:{_OURS})\b|\$\{{(?:{_OURS})\}}")


def files(folder: str, contents: Mapping[str, str]) -> Iterator[str]:
    """Write files below a folder; nothing where there are none.

    Args:
        folder: `~/` at its beginning is the user's home.
        contents: path → content.
    """
    folders = [path.rpartition("/")[0] for path in contents]
    if contents:
        yield f"mkdir -p {quoted(folder)} && cd {quoted(folder)}"
    if any(folders):
        yield f"mkdir -p {' '.join(map(quoted, dict.fromkeys(filter(None, folders))))}"
    for path, content in hide_in_files(contents).items():
        lines = content.removesuffix("\n").split("\n")
        end = _END
        while end in lines:  # it would end the file early, and the rest would be commands
            end += "_"
        yield from (f"cat > {quoted(path)} <<'{end}'", *lines, end)


def command(
    env: Mapping[str, str], argv: Sequence[str], env_script: Sequence[str] = ()
) -> Iterator[str]:
    """Write a command out in full with its environment, secrets redacted.

    Args:
        env: its environment variables.
        argv: its words.
        env_script: environment scripts to source before.
    """
    odd = []
    for script in env_script:
        yield " ".join(("source", *map(quoted, shlex.split(script))))
    for name, value in sorted(hide_in_env(env).items()):
        if _NAME.fullmatch(name):
            yield f"export {name}={quoted(value)}"
        else:
            odd.append(quoted(f"{name}={value}"))
    # A shell exports no variable of another name, but `env` sets it.
    words = [quoted(str(word)) for word in hide_in_argv(list(argv))]
    yield from _broken(["env", *odd, *words] if odd else words)


def quoted(word: str) -> str:
    """Quote a word for a shell, and leave to it what only the host knows: home and variables."""
    home = _HOME.sub("$HOME/", word)
    if home == word and not _EXPANDED.search(word):
        return shlex.quote(word)
    parts = re.split(f"({_EXPANDED.pattern})", home)
    return (
        '"'
        + "".join(
            part if _EXPANDED.fullmatch(part) else re.sub(r'([\\"$`])', r"\\\1", part)
            for part in parts
        )
        + '"'
    )


def _broken(words: Sequence[str]) -> Iterator[str]:
    """Break a long command before each of its options."""
    whole = " ".join(words)
    if len(whole) <= _LINE:
        yield whole
        return
    options: list[list[str]] = [[]]
    for word in words:
        options += [[]] if word.startswith("-") and options[-1] else []
        options[-1].append(word)
    texts = [" ".join(one) for one in options]
    for at, text in enumerate(texts):
        yield ("  " if at else "") + text + (" \\" if at < len(texts) - 1 else "")
