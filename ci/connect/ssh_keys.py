"""The keys shown to a host: private key files and the SSH agent. Never asks for a passphrase."""

from __future__ import annotations

import base64
import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from paramiko.auth_strategy import AuthStrategy, InMemoryPrivateKey
from paramiko.ssh_exception import PasswordRequiredException, SSHException

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.connect.ssh_route import Identities


class Keys(AuthStrategy):
    """Shows keys in turn.

    Attributes:
        tried: names each key that was shown.
        unusable: says why others were not.
        banners: what the host said meanwhile, such as the reason of a refusal.
    """

    def __init__(self, user: str, identities: Identities) -> None:
        super().__init__(paramiko.SSHConfig())
        self.user = user
        self.identities = identities
        self.tried: list[str] = []
        self.unusable: list[str] = []
        self.banners: list[bytes | str] = []

    def get_sources(self) -> Iterator[InMemoryPrivateKey]:
        """Yield the files that can be read, then what the agent holds."""
        locked = []
        for file in self.identities.files:
            key = _load(file)
            if isinstance(key, paramiko.PKey):
                yield self._source(file, key)
            elif key == "locked":
                locked.append(file)
            elif not (self.identities.defaults and key == "missing"):
                self.unusable.append(f"{file}: {key}")
        if locked or self.identities.agent:
            yield from self._from_agent(locked)

    def _from_agent(self, locked: list[str]) -> Iterator[InMemoryPrivateKey]:
        """An agent's keys: those of encrypted files first, the others where they may be tried."""
        with contextlib.closing(paramiko.Agent()) as agent:
            held = {key.asbytes(): key for key in agent.get_keys()}
            for file in locked:
                key = held.pop(_public_half(file), None)
                if key is None:
                    self.unusable.append(f"{file}: encrypted; give it to an agent: ssh-add {file}")
                else:
                    yield self._source(f"{file} (agent)", key)
            for key in held.values() if self.identities.agent else ():
                yield self._source(f"agent's {key.comment or key.get_name()}", key)

    def _source(self, label: str, key: paramiko.PKey) -> InMemoryPrivateKey:
        self.tried.append(label)
        return _Shown(self.user, key, self.banners)


class _Shown(InMemoryPrivateKey):
    """A key that is shown; paramiko forgets the host's banner with the next one."""

    def __init__(self, user: str, key: paramiko.PKey, banners: list[bytes | str]) -> None:
        super().__init__(user, key)
        self._banners = banners

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Show it, and keep the banner."""
        try:
            return super().authenticate(transport)
        finally:
            if transport.auth_handler and transport.auth_handler.banner:
                self._banners.append(transport.auth_handler.banner)


@functools.lru_cache(maxsize=64)
def _load(file: str) -> paramiko.PKey | str:
    """A key, or in a word or a line why not. Read once, however many hosts it is shown to."""
    try:
        return paramiko.PKey.from_path(file)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)
    except (PasswordRequiredException, TypeError):  # TypeError: cryptography's word for it
        return "locked"
    except (SSHException, ValueError) as error:
        return f"not a private key ({str(error) or type(error).__name__})"


def _public_half(file: str) -> bytes:
    with contextlib.suppress(OSError, ValueError, IndexError):
        line = Path(f"{file}.pub").read_text(encoding="utf-8")
        return base64.b64decode(line.split()[1])
    return b""
