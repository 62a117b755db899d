"""What known_hosts files say of a host's key (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Only reads."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import HostKeyRefused, UserError
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MARKERS = ("", "@revoked", "@cert-authority")


@dataclass(frozen=True)
class HostKey:
    """A public key: its type, and its blob in base64, as they stand in a known_hosts file."""

    type: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        try:
            digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        except binascii.Error:
            return "(damaged)"
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


@dataclass(frozen=True)
class KnownKey:
    """A key in a known_hosts file; `marker` is one of MARKERS."""

    key: HostKey
    marker: str
    file: str
    line: int

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Known:
    """What is known of one host."""

    keys: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()
    authorities: tuple[KnownKey, ...] = ()


@dataclass(frozen=True)
class _File:
    """A known_hosts file: by plain name, and those lines that only a test can match."""

    plain: Mapping[str, tuple[KnownKey, ...]]
    tested: tuple[tuple[Callable[[str], bool], KnownKey], ...]


def known_name(host: str, port: int) -> str:
    """The name under which a host's key is kept."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"  # noqa: PLR2004 - SSH's port


def line_to_add(name: str, key: HostKey) -> str:
    """The line that makes a key known."""
    return f"{name} {key.type} {key.blob}"


def known_keys(name: str, files: Sequence[str]) -> Known:
    """Look a host up; each file is read and parsed once, and again when it has changed.

    Args:
        name: of the host, from `known_name`.
        files: paths; one that is missing knows nothing.

    Raises:
        UserError: a file cannot be read.
    """
    found = [known for file in files for known in _matching(_read(file), name)]
    keys, revoked, authorities = (
        tuple(known for known in found if known.marker == marker) for marker in MARKERS
    )
    return Known(keys, revoked, authorities)


def check_key(host: str, name: str, key: HostKey, known: Known, file: str) -> None:
    """Refuse a key that is not the known one.

    Args:
        host: name in the plan.
        name: of the host in known_hosts files.
        key: what the host has shown.
        known: what `known_keys` says of it.
        file: where a new line would go.

    Raises:
        HostKeyRefused: it is unknown, another one than is known, or revoked.
    """
    for revoked in known.revoked:
        if revoked.key == key:
            raise HostKeyRefused(
                f"{host}: the key of {name}, {key}, is revoked in {revoked.where}; "
                "give the host a new key, or ask who revoked it",
            )
    if any(one.key == key for one in known.keys):
        return
    if known.keys:
        raise HostKeyRefused(_changed(host, name, key, known.keys))
    authority = (
        f" (only a certificate authority is known, {known.authorities[0].where}, and host "
        "certificates are not read here)"
        if known.authorities
        else ""
    )
    raise HostKeyRefused(
        f"{host}: the key of {name} is not known{authority}: {key}; compare it with the host's "
        f"own (`ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` there), then run `inv hosts.trust` "
        f"or add to {file} the line: {line_to_add(name, key)}",
    )


def _changed(host: str, name: str, key: HostKey, known: Sequence[KnownKey]) -> str:
    same_type = [one for one in known if one.key.type == key.type]
    expected = (same_type or known)[0]
    return (
        f"{host}: the key of {name} has changed: it shows {key}, but {expected.where} knows "
        f"{expected.key}; someone may stand in between, or the host was set up anew: find out, "
        f"then `ssh-keygen -f {expected.file} -R '{name}'` and `inv hosts.trust`"
    )


def _matching(file: _File, name: str) -> Iterator[KnownKey]:
    yield from file.plain.get(name, ())
    for matches, known in file.tested:
        if matches(name):
            yield known


def _read(file: str) -> _File:
    path = at_home_here(file)
    try:
        status = path.stat()
        return _parse(str(path), status.st_mtime_ns, status.st_size, status.st_ino)
    except (FileNotFoundError, NotADirectoryError):
        return _File({}, ())
    except OSError as error:
        raise UserError(
            f"cannot read {file}: {error.strerror}; make it readable or name another known_hosts",
        ) from error


@functools.lru_cache(maxsize=16)
def _parse(file: str, _mtime_ns: int, _size: int, _inode: int) -> _File:
    """The index of a file; its times and size make a changed file another one."""
    plain: defaultdict[str, tuple[KnownKey, ...]] = defaultdict(tuple)
    tested: list[tuple[Callable[[str], bool], KnownKey]] = []
    lines = Path(file).read_bytes().decode(errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        parsed = _parse_line(line, file, number)
        if parsed is None:
            continue
        names, known = parsed
        if names.startswith("|1|"):
            tested.append((functools.partial(_hash_matches, names), known))
        elif re.search(r"[*?!]", names):
            tested.append((_pattern(names), known))
        else:
            for name in names.lower().split(","):
                plain[name] += (known,)
    return _File(dict(plain), tuple(tested))


def _parse_line(line: str, file: str, number: int) -> tuple[str, KnownKey] | None:
    fields = line.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#") or marker not in MARKERS:  # noqa: PLR2004
        return None
    return fields[0], KnownKey(HostKey(fields[1], fields[2]), marker, file, number)


def _hash_matches(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in hashed.split("|")[2:4])
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)


def _pattern(names: str) -> Callable[[str], bool]:
    """A comma-separated list with wildcards; a negated pattern that matches excludes the host."""

    def expression(pattern: str) -> str:
        return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")

    patterns = names.lower().split(",")
    refused = [re.compile(expression(one[1:])) for one in patterns if one.startswith("!")]
    accepted = [re.compile(expression(one)) for one in patterns if not one.startswith("!")]

    def matches(name: str) -> bool:
        return any(one.fullmatch(name) for one in accepted) and not any(
            one.fullmatch(name) for one in refused
        )

    return matches
