"""Look up host keys in known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). Read-only."""

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
    """A public key: type, and blob in base64, as in a known_hosts file.

    Attributes:
        certificate: type and base64 blob of the certificate that the host shows with it.
    """

    type: str
    blob: str
    certificate: tuple[str, str] | None = field(default=None, compare=False)

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint in the form of `ssh-keygen -l`."""
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
    def location(self) -> str:
        """Return file and line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class KnownFiles:
    """The known_hosts files of a host.

    Attributes:
        files: paths, in the order they are read.
        new: the file for new keys; empty if OpenSSH's configuration has `none` or a device.
        not_followed: settings of OpenSSH that are ignored, for messages; may be empty.
    """

    files: tuple[str, ...]
    new: str
    not_followed: str = ""


@dataclass(frozen=True)
class Known:
    """The known keys of a host.

    Attributes:
        portless: keys of the host's name without a port; they count if `keys` is empty.
    """

    keys: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()
    authorities: tuple[KnownKey, ...] = ()
    portless: tuple[KnownKey, ...] = ()


@dataclass(frozen=True)
class _File:
    """A known_hosts file: keys by plain name, and lines that need a match (hashes, patterns)."""

    plain: Mapping[str, tuple[KnownKey, ...]]
    tested: tuple[tuple[Callable[[str], bool], KnownKey], ...]


def known_name(host: str, port: int) -> str:
    """Return the name of a host in known_hosts files."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"  # noqa: PLR2004 - SSH's port


def without_port(name: str) -> str:
    """Return the host without the port of its name in known_hosts files."""
    match = re.fullmatch(r"\[(.*)\]:\d+", name)
    return match[1] if match else name


def line_to_add(name: str, key: HostKey) -> str:
    """Return the line that adds a key to a known_hosts file."""
    return f"{name} {key.type} {key.blob}"


def known_keys(name: str, files: Sequence[str]) -> Known:
    """Look up a host's keys; a file is parsed again only after a change.

    Args:
        name: the host's name, from `known_name`.
        files: paths; missing files are skipped.

    Raises:
        UserError: a file cannot be read.
    """
    own, portless = (
        [known for file in files for known in _matching(_read(file), wanted)]
        for wanted in (name, without_port(name))
    )
    both = own if own == portless else [*own, *portless]
    revoked, authorities = (
        tuple(known for known in both if known.marker == marker) for marker in MARKERS[1:]
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
    """Index a file; its time and size are part of the key of the cache."""
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
    """Compile a comma-separated list with wildcards; a match of a negated one excludes the host."""

    def expression(pattern: str) -> str:
        return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")

    patterns = names.lower().split(",")
    refused = [re.compile(expression(text[1:])) for text in patterns if text.startswith("!")]
    accepted = [re.compile(expression(text)) for text in patterns if not text.startswith("!")]

    def matches(name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in accepted) and not any(
            pattern.fullmatch(name) for pattern in refused
        )

    return matches
