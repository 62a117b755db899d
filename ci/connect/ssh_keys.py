"""Show keys to a host, from files and the SSH agent. Never asks for a passphrase or a touch."""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from paramiko.auth_strategy import AuthStrategy, InMemoryPrivateKey
from paramiko.message import Message
from paramiko.pkey import PublicBlob, UnknownKeyType
from paramiko.ssh_exception import PasswordRequiredException, SSHException

from ci.connect.host_certificate import DAMAGED, parse
from ci.connect.ssh_agent import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.connect.ssh_route import Identities

CERTIFICATE = "-cert.pub"
OPENSSH_KEY = b"openssh-key-v1\0"
FIDO = "a FIDO key, which needs a touch; name a key that needs none"
NOT_HELD = {
    "locked": "encrypted; give it to an agent: ssh-add FILE",
    "public": "a public key, and no agent has its private key; add that with ssh-add",
    "missing": "missing",
}


class Keys(AuthStrategy):
    """Shows keys to a host, one after another.

    Attributes:
        tried: the name of each key that was shown.
        unusable: the other keys, each with the reason why it was not shown.
        banners: banners of the host, which may have the reason for a refusal.
    """

    def __init__(self, user: str, identities: Identities) -> None:
        super().__init__(paramiko.SSHConfig())
        self.user = user
        self.identities = identities
        self.tried: list[str] = []
        self.unusable: list[str] = list(identities.unread)
        self._shown: set[bytes] = set()
        self.banners: list[bytes | str] = []

    def get_sources(self) -> Iterator[InMemoryPrivateKey]:
        """Yield the keys of usable files, then the other keys of the agent."""
        with Agent(self.identities.agent) as agent:
            for file in self.identities.files:
                yield from self._of_file(file, agent)
            if self.identities.others:
                for blob, key in agent.keys.items():
                    if blob not in self._shown:
                        yield from self._certified(f"agent's {key.label}", key, blob)
            self.unusable += agent.unusable

    def _of_file(self, file: str, agent: Agent) -> Iterator[InMemoryPrivateKey]:
        """Yield a key, from its file or from the agent."""
        key, label = _load(file), file
        blob = key.asbytes() if isinstance(key, paramiko.PKey) else _public_half(file)
        if not isinstance(key, paramiko.PKey) and key in NOT_HELD and blob in agent.keys:
            key, label = agent.keys[blob], f"{file} (agent)"
        if not isinstance(key, paramiko.PKey):
            if blob[4:].startswith(b"sk-"):
                key = FIDO
            if not (self.identities.defaults and key == "missing"):
                self.unusable.append(f"{file}: " + NOT_HELD.get(key, key).replace("FILE", file))
            return
        yield from self._certified(label, key, blob, f"{_private(file)}{CERTIFICATE}")
        self._shown.add(blob)

    def _certified(
        self, label: str, key: paramiko.PKey, blob: bytes, *beside: str
    ) -> Iterator[InMemoryPrivateKey]:
        """Yield a key; first with each of its certificates, then alone."""
        for path in (*self.identities.certificates, *beside):
            if certificate := _certificate(path, blob):
                certified = copy.copy(key)
                certified.public_blob = certificate
                yield self._source(f"{label} with {path}", certified)
        yield self._source(label, key)

    def _source(self, label: str, key: paramiko.PKey) -> InMemoryPrivateKey:
        self.tried.append(label)
        return _Shown(self.user, key, self.banners)


class _Shown(InMemoryPrivateKey):
    """A key that is shown. Keeps the host's banner, which paramiko discards at the next key."""

    def __init__(self, user: str, key: paramiko.PKey, banners: list[bytes | str]) -> None:
        super().__init__(user, key)
        self._banners = banners

    def authenticate(self, transport: paramiko.Transport) -> list[str]:
        """Show the key, and keep the banner."""
        try:
            return super().authenticate(transport)
        finally:
            if transport.auth_handler and transport.auth_handler.banner:
                self._banners.append(transport.auth_handler.banner)


@functools.lru_cache(maxsize=64)
def _load(file: str) -> paramiko.PKey | str:
    """Read a key; return it, or the reason why it cannot be used. Cached for all hosts."""
    try:
        key = _of_path(file)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)
    except (PasswordRequiredException, TypeError):  # cryptography raises TypeError
        return "locked"
    except UnknownKeyType as error:
        return f"a kind of key that is not used here ({getattr(error.key_type, '__name__', '?')})"
    except (SSHException, *DAMAGED) as error:
        public = bool(_blob(file))
        reason = str(error).partition(". ")[0] or type(error).__name__
        return "public" if public else f"not a private key ({reason})"
    key.public_blob = None  # certificates are shown besides the key, not in its place
    return key


def _of_path(file: str) -> paramiko.PKey:
    """A key from its file; paramiko itself reads neither PKCS#8 nor its line ends."""
    try:
        return paramiko.PKey.from_path(file)
    except PasswordRequiredException:
        raise
    except SSHException:
        found = serialization.load_pem_private_key(Path(file).read_bytes(), None)
        text = found.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        kind: type[paramiko.PKey] = paramiko.Ed25519Key
        if isinstance(found, RSAPrivateKey):
            kind = paramiko.RSAKey
        elif isinstance(found, EllipticCurvePrivateKey):
            kind = paramiko.ECDSAKey
        return kind.from_private_key(io.StringIO(text.decode()))


def _private(file: str) -> str:
    return file.removesuffix(".pub")


def _public_half(file: str) -> bytes:
    return _blob(file) or _blob(f"{file}.pub") or _unlocked_half(file)


def _unlocked_half(file: str) -> bytes:
    """The public key in OpenSSH's format of a private key, which no passphrase locks."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path(file).read_text(encoding="ascii").strip().splitlines()
        fields = Message(base64.b64decode("".join(lines[1:-1])))
        if fields.get_bytes(len(OPENSSH_KEY)) == OPENSSH_KEY:
            for _ in range(3):  # cipher, key derivation and its options
                fields.get_binary()
            fields.get_int()  # of keys: one
            return fields.get_binary()
    return b""


def _blob(file: str) -> bytes:
    """Return the blob of a public key's file; empty if the file is not a public key."""
    with contextlib.suppress(OSError, ValueError, SSHException):
        return PublicBlob.from_string(Path(file).read_text(encoding="utf-8")).key_blob
    return b""


@functools.lru_cache(maxsize=64)
def _certificate(file: str, key: bytes) -> PublicBlob | None:
    """Return the certificate in a file; None if it is not for this key."""
    with contextlib.suppress(OSError, ValueError, SSHException):
        public = PublicBlob.from_string(Path(file).read_text(encoding="utf-8"))
        certificate = parse(public.key_type, public.key_blob)
        if certificate is not None and base64.b64decode(certificate.key) == key:
            return public
    return None
