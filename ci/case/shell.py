"""Understand the shell around a server's command line, or refuse it with advice. Pure.

A server starts without a shell. `source A && vllm serve …` becomes an environment script and the
server's own words, also inside `bash -c '…'`. Whatever else only a shell does is refused: what is
half understood starts a server on another port than the one that is asked.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from ci.case.env_script import plain
from ci.vllm.programs import OTHER_SHELLS, SHELLS, own_words

_QUOTED = re.compile(r"\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_OPERATOR = re.compile(r"&&|\|\||;|\||&?>|&|<|\n")
# `> /dev/null 2>&1` of the first statement: what a script prints is not shown anyway.
_QUIET = re.compile(r"\A([^&|;\n]*?)(?:\s+(?:[12&]?>>?\s*/dev/null|2>&1))+(?=\s*(?:&&|;|\n))")
_SUBSTITUTION = re.compile(r"\$\(|`")
_COMMENT = re.compile(r"(?:^|\s)#")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_UNDER_ENVS = "put environment variables under 'envs'"
_FOREGROUND = "the run starts and ends the server itself, so it stays in the foreground; remove"
_KEPT = "the run keeps the server's output in its log; remove"
_OPERATORS = {
    "&": f"{_FOREGROUND} the '&', or quote it",
    "|": f"{_KEPT} the pipe, or quote it",
    ">": f"{_KEPT} the redirection, or quote it",
    "&>": f"{_KEPT} the redirection, or quote it",
    "<": "a server reads no input; remove the redirection, or quote it",
    "\n": "end the line before it with a backslash, or write one line",
}
_ONLY_SOURCE = "remove it; only environment scripts (`source FILE &&`) may be before the server"
# First words that do something for the server that follows.
_SETUP = {
    "export": _UNDER_ENVS,
    "unset": "a server gets no variable that the host does not set; unset it in a script of your "
    "own on the host, and name that under 'env_script'",
    "cd": "a server runs in a folder of its own; write absolute paths",
    "ulimit": "set limits on the host, in /etc/security/limits.conf or for its sshd",
    "umask": "remove it",
    "module": "put it into a script of your own on the host, after its modules.sh, and name both "
    "under 'env_script'",
    "conda": "name conda's `bin/activate ENVIRONMENT`, with its whole path, under 'env_script'",
    "eval": "put it into a script of your own on the host, and name that under 'env_script'",
}
_SETUP |= dict.fromkeys(("ml",), _SETUP["module"]) | dict.fromkeys(("pushd",), _SETUP["cd"])
_SETUP |= dict.fromkeys(("declare", "typeset"), _SETUP["export"])
_REFUSED = {
    "env": _UNDER_ENVS,
    "time": "remove it",
    "sudo": "connect as the user who may start the server: `user` in the cluster file",
    "su": "connect as the user who may start the server: `user` in the cluster file",
    **dict.fromkeys(
        ("nohup", "setsid", "disown", "screen", "tmux", "daemonize"), f"{_FOREGROUND} it"
    ),
    **dict.fromkeys(
        ("if", "for", "while", "until", "case", "function", "{", "(", "!", "[", "[[", "trap"),
        "put it into a script on the host, and write `bash SCRIPT` with the 'server_port' that it "
        "listens on",
    ),
}
_MOST_SHELLS = 4
# Of a shell: the next word belongs to them.
_WITH_VALUE = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})


@dataclass(frozen=True)
class Started:
    """What is started: its command line, and the environment scripts to source before."""

    argv: tuple[str, ...]
    env_script: tuple[str, ...] = ()


@lru_cache(maxsize=1024)  # a file's reader asks again what its model has validated
def understand(text: str) -> Started:
    """Understand a command line as a shell would read it.

    Raises:
        ValueError: it needs a shell; the message has the reason and what to write instead.
    """
    scripts: list[str] = []
    wrappers: list[str] = []
    in_shell = 0
    while True:
        text = text.replace("\\\n", " ").strip()
        first = text.split(maxsplit=1)[0] if text else ""
        if first in {"source", ".", "set", *_SETUP}:
            statement, text = _split(text, first)
            scripts += _prepared(first, statement)
        elif first == "exec":
            text = text.removeprefix("exec")
        elif (inner := _of_shell(text)) is not None:
            in_shell += 1
            if in_shell > _MOST_SHELLS:
                raise ValueError("has too many shells inside one another; write the command itself")
            wrappers += inner[0]
            text = inner[1]
        else:
            break
    words = _words(text, in_shell=bool(in_shell or scripts))
    return Started((*wrappers, *words), tuple(scripts))


def of_words(words: list[str]) -> str:
    """Write a list of words as text; operators stay what they are."""
    return " ".join(word if _OPERATOR.fullmatch(word) else shlex.quote(word) for word in words)


def _masked(text: str) -> str:
    """Blank out quoted parts, so that the rest is what a shell interprets."""
    return _QUOTED.sub(lambda match: "Q" * len(match[0]), text)


def _split(text: str, first: str) -> tuple[str, str]:
    """Split a statement from what follows `&&`, `;` or the end of its line."""
    if first in _SETUP:
        operator = _OPERATOR.search(_masked(text))
        names = " and ".join(
            repr(word) for word in (operator[0] if operator else "", first) if word
        )
        raise ValueError(
            f"this runs without a shell, so the server would get {names}; {_SETUP[first]}"
        )
    text = _QUIET.sub(r"\1", text)
    match = _OPERATOR.search(_masked(text))
    if match is None:
        raise ValueError(f"begins with {first!r} and starts no server after it; add the server")
    if match[0] not in {"&&", ";", "\n"}:
        raise ValueError(f"has {match[0]!r} after {first!r}; remove it")
    return text[: match.start()], text[match.end() :]


def _prepared(first: str, statement: str) -> list[str]:
    """Return the script that a statement sources; none for `set`."""
    if first == "set":
        if re.search(r"\s-(?:\w*a|o\s+allexport)", statement):
            raise ValueError(
                "`set -a` exports what a script only sets; write it into a script of your own on "
                "the host, around that one, and name that under 'env_script'"
            )
        return []
    try:
        return [plain(statement.strip().removeprefix(first))]
    except ValueError as error:
        raise ValueError(f"{first}: {error}") from error


def _of_shell(text: str) -> tuple[list[str], str] | None:
    """Return the wrappers before `bash -c SCRIPT`, and the script; None if it is not one."""
    whole = words_of(text)
    words = list(own_words(whole))
    name = PurePosixPath(words[0]).name if words else ""
    if name not in SHELLS | OTHER_SHELLS:
        return None
    flags: list[str] = []
    for position, word in enumerate(words[1:], 1):
        if flags and flags[-1] in _WITH_VALUE:
            flags.append("")
            continue
        if name == "busybox" and position == 1:
            continue
        if not word.startswith(("-", "+")):
            break
        flags.append(word)
        letters = "" if word.startswith("--") else word[1:]
        if "c" in letters:
            if name in OTHER_SHELLS:
                raise ValueError(
                    f"{name} has a syntax of its own; write the server's command line itself"
                )
            _refuse_profiles(words[0], flags)
            if len(words) != position + 2:
                raise ValueError(
                    f"{words[0]} {word} takes one quoted text and nothing after it; write the "
                    "server's command line itself"
                )
            return whole[: len(whole) - len(words)], words[position + 1]
    return None


def _refuse_profiles(shell: str, flags: list[str]) -> None:
    login = [flag for flag in flags if flag == "--login" or re.fullmatch(r"-\w*[li]\w*", flag)]
    if login:
        raise ValueError(
            f"{shell} {login[0]} reads the user's profile; name the scripts that the server needs "
            "from it under 'env_script', and write the server's command line itself"
        )


def words_of(text: str) -> list[str]:
    """Split text into words as a shell does.

    Raises:
        ValueError: a quote is not closed.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        reason = f"{str(error).lower()}; close every quote{_unclosed(text)}"
        raise ValueError(f"not a command line: {reason}") from error


def _unclosed(text: str) -> str:
    """Name the quote that is not closed: a word processor's, which is none, or the last one."""
    if odd := re.search("[\u2018-\u201f]\\W*\\w*", text):
        return f"; write ' or \" of a keyboard in this one: {odd[0]}"
    quote = re.search(r"['\"]\W*\w*", _masked(text))
    if quote is None:
        return ""
    first = quote.start()
    while first and not text[first - 1].isspace():
        first -= 1
    return f"; this begins one: {text[first : quote.end()]}"


def _words(text: str, *, in_shell: bool) -> tuple[str, ...]:
    """Split the server's own command line; refuse what is left of a shell in it."""
    words = words_of(text)
    if not words:
        raise ValueError("is empty; write the server's command line")
    if _ASSIGNMENT.match(words[0]):
        raise ValueError(f"begins with {words[0]!r}; {_UNDER_ENVS}")
    if advice := _REFUSED.get(words[0]) or _REFUSED.get(words[0][:1]):
        raise ValueError(f"begins with {words[0]!r}; {advice}")
    refuse_operators(text, newline=in_shell)
    return tuple(words)


def refuse_operators(text: str, *, newline: bool = False) -> None:
    """Refuse what only a shell interprets.

    Args:
        text: a command line, or arguments.
        newline: whether a new line begins another command.

    Raises:
        ValueError: with the reason and what to do.
    """
    single = re.sub(r"\\.|'[^']*'", lambda match: "Q" * len(match[0]), text, flags=re.DOTALL)
    if match := _SUBSTITUTION.search(single):
        raise ValueError(
            f"this runs without a shell, so {match[0]!r} is not replaced by a command's output; "
            "write the value, or put it in single quotes"
        )
    if _COMMENT.search(_masked(text)):
        raise ValueError(
            "this runs without a shell, so the server would get '#' and what follows; write the "
            "comment outside the text, or quote it"
        )
    for match in _OPERATOR.finditer(_masked(text)):
        if match[0] == "\n" and not newline:
            continue
        advice = _OPERATORS.get(match[0], _ONLY_SOURCE)
        name = "a new line" if match[0] == "\n" else repr(match[0])
        raise ValueError(f"this runs without a shell, so the server would get {name}; {advice}")
