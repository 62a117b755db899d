"""What known_hosts files say of a host's key (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Only reads."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MARKERS = ("", "@revoked", "@cert-authority")


@dataclass(frozen=True)
class HostKey:
    """A public key: its type, and its blob in base64, as they stand in a known_hosts file.

    Attributes:
        certificate: type and blob in base64 of the certificate that a host has shown for it.
    """

    type: str
    blob: str
    certificate: tuple[str, str] | None = field(default=None, compare=False)

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
class KnownFiles:
    """The known_hosts files of a host.

    Attributes:
        files: paths, in the order they are read.
        new: the file for new keys; "" where OpenSSH's configuration says `none` or a device.
        unlike: what is done otherwise than OpenSSH's configuration says; "" for nothing.
    """

    files: tuple[str, ...]
    new: str
    unlike: str = ""


@dataclass(frozen=True)
class Known:
    """What is known of one host.

    Attributes:
        portless: keys of the same host without its port, which count while `keys` is empty.
    """

    keys: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()
    authorities: tuple[KnownKey, ...] = ()
    portless: tuple[KnownKey, ...] = ()


@dataclass(frozen=True)
class _File:
    """A known_hosts file: by plain name, and those lines that only a test can match."""

    plain: Mapping[str, tuple[KnownKey, ...]]
    tested: tuple[tuple[Callable[[str], bool], KnownKey], ...]


def known_name(host: str, port: int) -> str:
    """The name under which a host's key is kept."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"  # noqa: PLR2004 - SSH's port


def without_port(name: str) -> str:
    """The host's own part of the name under which its key is kept."""
    match = re.fullmatch(r"\[(.*)\]:\d+", name)
    return match[1] if match else name


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
    own, portless = (
        [known for file in files for known in _matching(_read(file), looked_up)]
        for looked_up in (name, without_port(name))
    )
    found = own if own == portless else [*own, *portless]
    revoked, authorities = (
        tuple(known for known in found if known.marker == marker) for marker in MARKERS[1:]
    )
    keys, others = (tuple(known for known in some if not known.marker) for some in (own, portless))
    return Known(keys, revoked, authorities, others)


def is_special(path: Path) -> bool:
    """Return whether a path is neither a file nor a folder, but a device such as /dev/null."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _matching(file: _File, name: str) -> Iterator[KnownKey]:
    yield from file.plain.get(name, ())
    for matches, known in file.tested:
        if matches(name):
            yield known


def _read(file: str) -> _File:
    path = at_home_here(file)
    try:
        if is_special(path):
            return _File({}, ())
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
