"""Ask OpenSSH's client for its configuration of a host (`ssh -G`). Connects to no host."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.connect.ssh_config_file import look_up
from ci.errors import UserError
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.inventory.target import Target

# `Match exec` runs programs, and CanonicalizeHostname asks name servers.
ANSWER_S = 20.0
# Old clients end with an error at other tokens. Names of hosts and users have no `|`.
TOKENS = "%C|%i|%L|%l|%u"
SHOWN_LINES = 3


def ask(target: Target) -> Mapping[str, Sequence[str]]:
    """Return lower-case keyword → values; "tokens" has the values of TOKENS.

    Raises:
        UserError: OpenSSH refuses the configuration, or does not answer.
    """
    client = shutil.which("ssh")
    if client is None:
        return look_up(target)
    argv = [client, "-G", "-T", "-o", f"ControlPath={TOKENS}", *_stated(target)]
    home = _other_home()
    if home is not None and (config := home / ".ssh/config").exists():
        argv += ["-F", str(config)]
    options = _parsed(_run(target, [*argv, "--", target.address]))
    if "hostname" not in options:
        raise UserError(
            f"{target.name}: `{client} -G` printed no hostname; install OpenSSH's client"
        )
    if home is not None and options.get("userknownhostsfile") == _default_files():
        del options["userknownhostsfile"]
    return options


def _stated(target: Target) -> Iterator[str]:
    """Yield the target's own settings as options, for `Match user` and tokens."""
    if target.user is not None:
        yield from ("-l", target.user)
    if target.port is not None:
        yield from ("-p", str(target.port))
    if target.jump is not None:  # it replaces ProxyJump and ProxyCommand
        yield from ("-o", "ProxyJump=none")


def _other_home() -> Path | None:
    """Return $HOME if it has .ssh and is not the account's home, where OpenSSH itself looks."""
    home = at_home_here("~")
    if home == _account_home() or not (home / ".ssh").is_dir():
        return None
    return home


def _account_home() -> Path | None:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _default_files() -> list[str]:
    home = _account_home()
    return [f"{home}/.ssh/known_hosts", f"{home}/.ssh/known_hosts2"]


def _run(target: Target, argv: Sequence[str]) -> str:
    """Run a command and return its output; ends the programs of `Match exec` with it."""
    with _started(target, argv) as process:
        try:
            out, err = process.communicate(timeout=ANSWER_S)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise UserError(
                f"{target.name}: `ssh -G {target.address}` gave no answer within {ANSWER_S:g} s; "
                "look for a `Match exec` that hangs, or CanonicalizeHostname, in OpenSSH's "
                "configuration",
            ) from None
    if process.returncode != 0:
        lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
        reason = "; ".join(lines[-SHOWN_LINES:]) or f"exit code {process.returncode}"
        raise UserError(
            f"{target.name}: OpenSSH's configuration of {target.address} cannot be used: {reason}"
        )
    return out.decode(errors="replace")


def _started(target: Target, argv: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(
            f"{target.name}: {argv[0]} cannot be run: {error.strerror}; install OpenSSH's client, "
            "or take that file out of PATH"
        ) from error


def _parsed(text: str) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        options.setdefault(keyword.lower(), []).append(value)
    for keyword in ("userknownhostsfile", "globalknownhostsfile"):
        if keyword in options:
            # Spaces in paths are not quoted: only `/`, `~` or `none` begins the next path.
            options[keyword] = re.split(r" (?=[/~]|none$)", options[keyword][0])
    options["tokens"] = options.pop("controlpath", [""])[0].split("|")
    return options
