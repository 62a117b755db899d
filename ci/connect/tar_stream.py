"""Read a compressed tar archive from a host that may lie: headers, names and content, all bounded.

Own code, because `tarfile` reads extended headers of any size into memory, and because what it
accepts differs from one Python to the next. The format: POSIX.1-2017, pax, "ustar Interchange
Format" and "pax Header Block"; GNU tar's manual, "Basic Tar Format".
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK_BYTES = 512
PIECE_BYTES = 1 << 18
# Everything that an archive unpacks to, headers included. A night's logs are far below it.
MAX_BYTES = 16 << 30
MAX_HEADER_BYTES = 64 * 1024  # of one extended header
MAX_RECORDS = 256  # of one pax header; tars write about ten, and one more per extended attribute
MAX_DIGITS = 20  # of a number in a pax header: 64 bits
MAX_PADDING_BYTES = 1 << 20  # after the end; GNU tar writes up to 10 KiB

_EXTENDED = {b"L": "GNU name", b"K": "GNU link", b"x": "pax"}
_FILES, _FOLDER = frozenset({b"0", b"\0", b"7"}), b"5"
# What an ordinary folder may hold, and what is not copied.
_LEFT_OUT = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
}
_GZIP = 16 + zlib.MAX_WBITS


class BadArchive(Exception):  # noqa: N818 - says what is bad
    """An archive that no honest `tar` writes; the message says which member, and why."""


class ArchiveTooLarge(Exception):  # noqa: N818 - says what is too large
    """An archive over a bound; the message says which member, and which bound."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: its path as the archive has it.
        size: of its content, in bytes.
        is_folder: it is a folder; otherwise it is a regular file, unless `left_out`.
        left_out: what else it is, e.g. `a symbolic link`; empty for files and folders.
    """

    name: bytes
    size: int
    is_folder: bool = False
    left_out: str = ""

    @property
    def shown(self) -> str:
        """The name for a message: on one line, nothing in it that a terminal obeys."""
        text = self.name[:200].decode(errors="backslashreplace")
        return "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )


class TarStream:
    """An archive that is read once, from its beginning to its end, in bounded memory."""

    def __init__(self, read: Callable[[], bytes], max_bytes: int = MAX_BYTES) -> None:
        """Begin.

        Args:
            read: waits for the next compressed bytes; none at the end.
            max_bytes: that it may unpack to.
        """
        self._read = read
        self._gzip = zlib.decompressobj(_GZIP)
        self._piece = memoryview(b"")
        self._left_bytes = self._max_bytes = max_bytes
        # Honest gzip adds less than a hundredth. What unpacks to nothing could go on for ever.
        self._left_packed_bytes = max_bytes + max_bytes // 100 + PIECE_BYTES
        self._size = 0  # of the present member's content
        self._content_bytes = 0  # of it, not read yet

    def members(self) -> Iterator[Member]:
        """Give one member after the other; content that was not asked for is skipped.

        Raises:
            BadArchive, ArchiveTooLarge: see there.
            EOFError, zlib.error: it ends too early, or is no gzip.
        """
        while (member := self._next()) is not None:
            yield member
            for _ in self.content():
                pass
        self._finish()

    def content(self) -> Iterator[bytes | memoryview]:
        """Give the content of the present member in pieces."""
        while self._content_bytes:
            piece = self._some(min(self._content_bytes, PIECE_BYTES))
            self._content_bytes -= len(piece)
            yield piece
        self._take(-self._size % BLOCK_BYTES)
        self._size = 0

    def _next(self) -> Member | None:
        extended: dict[bytes, bytes] = {}
        while (block := self._take(BLOCK_BYTES)).strip(b"\0"):
            kind, size = _kind(block), _size(block)
            if kind not in _EXTENDED:
                return self._begin(_member(block, extended, size))
            if kind in extended or size > MAX_HEADER_BYTES:
                raise BadArchive(f"a {_EXTENDED[kind]} header comes twice or has {size} bytes")
            extended[kind] = self._take(size)
            self._take(-size % BLOCK_BYTES)
        if extended:
            raise BadArchive("an extended header with no member after it")
        return None

    def _begin(self, member: Member) -> Member:
        if member.size > self._left_bytes:
            raise self._too_large(member.shown)
        self._size = self._content_bytes = member.size
        return member

    def _take(self, size: int) -> bytes:
        """Exactly so many bytes."""
        taken = bytearray()
        while len(taken) < size:
            taken += self._some(size - len(taken))
        return bytes(taken)

    def _some(self, most: int) -> memoryview:
        """At least one byte, and no more than `most`."""
        if not self._piece:
            self._piece = memoryview(self._inflate())
        if not self._piece:
            raise EOFError("it is cut short")
        some, self._piece = self._piece[:most], self._piece[most:]
        self._left_bytes -= len(some)
        if self._left_bytes < 0:
            raise self._too_large("its members together")
        return some

    def _inflate(self) -> bytes:
        """The next bytes; none at the end of the compressed data."""
        piece = b""
        while not piece and not self._gzip.eof:
            packed = self._gzip.unconsumed_tail or self._packed()
            piece = self._gzip.decompress(packed, PIECE_BYTES)
        return piece

    def _packed(self) -> bytes:
        """The next compressed bytes, at least one."""
        packed = self._read()
        if not packed:
            raise EOFError("it is cut short")
        self._left_packed_bytes -= len(packed)
        if self._left_packed_bytes < 0:
            raise self._too_large("its compressed bytes")
        return packed

    def _finish(self) -> None:
        """Read the padding: `tar` on the host ends well only when all that it writes is read."""
        padding = len(self._piece)
        while piece := self._inflate():
            padding += len(piece)
            if padding > MAX_PADDING_BYTES:
                raise BadArchive("it goes on after its end")

    def _too_large(self, what: str) -> ArchiveTooLarge:
        return ArchiveTooLarge(f"{what}: more than the {self._max_bytes} bytes that are copied")


def _member(block: bytes, extended: dict[bytes, bytes], size: int) -> Member:
    records = _records(extended.get(b"x", b""))
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    name = records.get(b"path", _text(extended.get(b"L", name)))
    size = _decimal(records[b"size"]) if b"size" in records else size
    kind = _kind(block)
    is_folder = kind == _FOLDER or (kind in _FILES and name.endswith(b"/"))
    member = Member(name, size, is_folder, _LEFT_OUT.get(kind, ""))
    if kind not in _FILES | {_FOLDER} | _LEFT_OUT.keys():
        raise BadArchive(f"{member.shown}: a member of the unknown type {kind!r}")
    if any(key.startswith(b"GNU.sparse.") for key in records):
        raise BadArchive(f"{member.shown}: a sparse file")
    if size and (is_folder or member.left_out):
        raise BadArchive(f"{member.shown}: {member.left_out or 'a folder'} with {size} bytes")
    return member


def _kind(block: bytes) -> bytes:
    """The type of a header whose checksum holds."""
    fields = block[:148] + b" " * 8 + block[156:]
    if _number(block[148:156]) != sum(fields):
        raise BadArchive("a header with a wrong checksum")
    return block[156:157]


def _size(block: bytes) -> int:
    return _number(block[124:136])


def _number(field: bytes) -> int:
    """Octal digits, or GNU's big-endian binary after a byte 0x80."""
    if field[0] == 0x80:  # noqa: PLR2004 - the format's mark
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise BadArchive(f"a header with the number {field!r}")
    return int(digits or b"0", 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _records(data: bytes) -> dict[bytes, bytes]:
    """The `LENGTH KEY=VALUE` lines of a pax header."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        if len(records) == MAX_RECORDS:
            raise BadArchive(f"a pax header with more than {MAX_RECORDS} records")
        # The length counts its own digits, the space and the line's end.
        space = data.find(b" ", at, at + MAX_DIGITS + 1)
        end = at + _decimal(data[at : max(space, at)])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n" or key in records:
            raise BadArchive("a pax header with a line that is none, or a key that comes twice")
        records[key], at = value, end
    return records


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > MAX_DIGITS:
        raise BadArchive(f"a pax header with the number {digits[:40]!r}")
    return int(digits)
