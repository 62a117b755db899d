"""Write a command of the plan as lines for a shell: folder, files, environment, argv. Pure.

No line is indented, so that the lines between two comments can be pasted.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ci.case.variables import HOST_VARIABLES
from ci.record.secrets import hide_in_argv, hide_in_env, hide_in_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# A longer command is split into several lines.
_LINE_CHARS = 100
_END = "END_OF_FILE"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_HOME = re.compile(r"""(?:^|(?<=[:="']))~/""")
# The shell variable with the folder of a tokenizer that a command names by its name on a hub.
TOKENIZER = "TOKENIZER"
_NAMES = "|".join((*HOST_VARIABLES, "NIC_NAME", TOKENIZER))
_EXPANDED = re.compile(rf"\$(?:{_NAMES})\b|\$\{{(?:{_NAMES})\}}")
# The plan's placeholder for a network interface that only the host knows.
_INTERFACE = re.compile(r"<interface of [^>]*>")


def files(
    folder: str, contents: Mapping[str, str], written: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Write the commands that create files in a folder; none if there are no files.

    Args:
        folder: may begin with `~/`, the user's home.
        contents: path in the folder → content.
        written: content → path of a file that exists and is copied.
    """
    folders = [path.rpartition("/")[0] for path in contents]
    if contents:
        yield f"mkdir -p {quoted(folder)} && cd {quoted(folder)}"
    if any(folders):
        yield f"mkdir -p {' '.join(map(quoted, dict.fromkeys(filter(None, folders))))}"
    for path, content in hide_in_files(contents).items():
        if written and content in written:
            yield f"cp {quoted(written[content])} {quoted(path)}"
            continue
        lines = content.removesuffix("\n").split("\n")
        end = _END
        while end in lines:  # it would end the file early, and the rest would be commands
            end += "_"
        write = _write(content, in_home=folder.startswith("~/"))
        yield from (f"{write} > {quoted(path)} <<'{end}'", *lines, end)


def _write(content: str, *, in_home: bool) -> str:
    """Return the command that writes a file; a program that reads it knows neither `~` nor `$`."""
    edits = {
        "s|~/|$HOME/|g": in_home and ("'~/" in content or '"~/' in content),
        rf"s|\${TOKENIZER}|${TOKENIZER}|g": f"${TOKENIZER}" in content,
    }
    flags = "".join(f' -e "{edit}"' for edit, needed in edits.items() if needed)
    return f"sed{flags}" if flags else "cat"


def command(
    env: Mapping[str, str], argv: Sequence[str], env_script: Sequence[str] = ()
) -> Iterator[str]:
    """Write a command with its environment; secrets are redacted.

    Args:
        env: its environment variables.
        argv: its words.
        env_script: environment scripts to source before.
    """
    unexported = []
    for script in env_script:
        yield " ".join(("source", *map(quoted, shlex.split(script))))
    if _INTERFACE.fullmatch(env.get("NIC_NAME", "")):
        address = f"$(getent ahosts {quoted(env['LOCAL_IP'])} | awk '{{print $1; exit}}')"
        interface = f"ip -o addr show to \"{address}\" | awk '{{print $2; exit}}'"
        yield f'export NIC_NAME="$({interface})"'
    for name, value in sorted(hide_in_env(env).items()):
        if name == "NIC_NAME" and _INTERFACE.fullmatch(value):
            continue
        if _NAME.fullmatch(name):
            yield f"export {name}={quoted(value)}"
        else:
            unexported.append(quoted(f"{name}={value}"))
    # A shell cannot export a variable with another name, but `env` can set it.
    words = [quoted(str(word)) for word in hide_in_argv(list(argv))]
    yield from _split(["env", *unexported, *words] if unexported else words)


def quoted(word: str) -> str:
    """Quote a word for a shell, except for `~/` and the variables that only the host can expand."""
    home = _INTERFACE.sub("$NIC_NAME", _HOME.sub("$HOME/", word))
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


def _split(words: Sequence[str]) -> Iterator[str]:
    """Split a long command before each of its options."""
    whole = " ".join(words)
    if len(whole) <= _LINE_CHARS:
        yield whole
        return
    options: list[list[str]] = [[]]
    for word in words:
        options += [[]] if word.startswith("-") and options[-1] else []
        options[-1].append(word)
    texts = [" ".join(option) for option in options]
    for index, text in enumerate(texts):
        yield ("  " if index else "") + text + (" \\" if index < len(texts) - 1 else "")
